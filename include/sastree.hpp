/* SPDX-License-Identifier: MIT */
/*
 * sastree.hpp - indexes and string trees as ordered maps of C++: sasphere::index_map and sasphere::string_map. C++11; with C++17 the keys
 * of string maps are std::string_view.
 *
 * A map is a view of a tree: it holds the handle, owns nothing, and is copied freely. Values are pointers, T *. What the
 * C calls say about sharing and deaths holds. An iterator stands on a key, and has a copy of it and of its value as they
 * were when it came there; ++ and -- go to the next one there is then, whatever has become of this one. Failures are
 * std::system_error, with the library's sentence.
 */
#ifndef SASPHERE_SASTREE_HPP
#define SASPHERE_SASTREE_HPP

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#if __cplusplus >= 201703L
#include <string_view>
#endif

#include "sasindexenum.h"
#include "sasregion.h"
#include "sasstringbtreeenum.h"

namespace sasphere {

namespace detail {

[[noreturn]] inline void fail() { throw std::system_error(errno, std::generic_category(), SASLastErrorMessage()); }
/* After a call that gave nothing: false if there was nothing to give. */
inline bool given(bool something, int nothing)
{
	if (something || errno == nothing || errno == 0)
		return something;
	fail();
}

/* How a key of C++ becomes one of an index, and back. */
inline SASIndexKey_t to_key(unsigned long long n) { SASIndexKey_t k = SASIndexKey_t(); SASIndexKeyInitUInt64(&k, n); return k; }
inline SASIndexKey_t to_key(long long n) { SASIndexKey_t k = SASIndexKey_t(); SASIndexKeyInitInt64(&k, n); return k; }
inline SASIndexKey_t to_key(double d) { SASIndexKey_t k = SASIndexKey_t(); SASIndexKeyInitDouble(&k, d); return k; }
inline SASIndexKey_t to_key(const SASIndexKey_t &key) { return key; }
inline void from_key(const SASIndexKey_t &k, unsigned long long &n) { n = SASIndexKeyReturn1stUInt64(&k); }
inline void from_key(const SASIndexKey_t &k, long long &n) { n = SASIndexKeyReturn1stInt64(&k); }
inline void from_key(const SASIndexKey_t &k, double &d) { d = SASIndexKeyReturn1stDouble(&k); }
inline void from_key(const SASIndexKey_t &k, SASIndexKey_t &key) { key = k; }

template <class K> struct index_face {
	typedef K key_type;
	typedef K key_view;
	typedef SASIndexEnum_t enum_type;
	static bool put(SASIndex_t t, K key, void *value) { SASIndexKey_t k = to_key(key); return SASIndexPut(t, &k, value); }
	static void *replace(SASIndex_t t, K key, void *value) { SASIndexKey_t k = to_key(key); return SASIndexReplace(t, &k, value); }
	static void *remove(SASIndex_t t, K key) { SASIndexKey_t k = to_key(key); return SASIndexRemove(t, &k); }
	static void *get(SASIndex_t t, K key) { SASIndexKey_t k = to_key(key); return SASIndexGet(t, &k); }
	static int is_empty(SASIndex_t t) { return SASIndexIsEmpty(t); }
	static long count(SASIndex_t t) { return SASIndexGetCurCount(t); }
	static enum_type make(SASIndex_t t) { return SASIndexEnumCreate(t); }
	static void drop(enum_type e) { SASIndexEnumDestroy(e); }
	static void *next(enum_type e) { return SASIndexEnumNext(e); }
	static void *previous(enum_type e) { return SASIndexEnumPrevious(e); }
	static int seek(enum_type e, K key, int after) { SASIndexKey_t k = to_key(key); return SASIndexEnumSeek(e, &k, after); }
	static int seek_end(enum_type e, int last) { return SASIndexEnumSeek(e, NULL, last); }
	static bool current(enum_type e, K &key)
	{
		SASIndexKey_t *k = SASIndexEnumCurrent(e);

		if (k)
			from_key(*k, key);
		return k != NULL;
	}
};

struct string_face {
	typedef std::string key_type;
#if __cplusplus >= 201703L
	typedef std::string_view key_view;
#else
	typedef const std::string &key_view;
#endif
	typedef SASStringBTreeEnum_t enum_type;
	/* The calls take strings that end with a NUL: what has one inside is no key. */
	static std::string whole(key_view key)
	{
		if (key.find('\0') != std::string::npos)
			throw std::system_error(EINVAL, std::generic_category(), "a key with a NUL inside");
		return std::string(key);
	}
	static bool put(SASStringBTree_t t, key_view key, void *value) { return SASStringBTreePut(t, whole(key).c_str(), value); }
	static void *replace(SASStringBTree_t t, key_view key, void *value) { return SASStringBTreeReplace(t, whole(key).c_str(), value); }
	static void *remove(SASStringBTree_t t, key_view key) { return SASStringBTreeRemove(t, whole(key).c_str()); }
	static void *get(SASStringBTree_t t, key_view key) { return SASStringBTreeGet(t, whole(key).c_str()); }
	static int is_empty(SASStringBTree_t t) { return SASStringBTreeIsEmpty(t); }
	static long count(SASStringBTree_t t) { return SASStringBTreeGetCurCount(t); }
	static enum_type make(SASStringBTree_t t) { return SASStringBTreeEnumCreate(t); }
	static void drop(enum_type e) { SASStringBTreeEnumDestroy(e); }
	static void *next(enum_type e) { return SASStringBTreeEnumNext(e); }
	static void *previous(enum_type e) { return SASStringBTreeEnumPrevious(e); }
	static int seek(enum_type e, key_view key, int after) { return SASStringBTreeEnumSeek(e, whole(key).c_str(), after); }
	static int seek_end(enum_type e, int last) { return SASStringBTreeEnumSeek(e, NULL, last); }
	static bool current(enum_type e, std::string &key)
	{
		const char *k = SASStringBTreeEnumCurrent(e);

		if (k)
			key = k;
		return k != NULL;
	}
};

} /* namespace detail */

template <class Face, class T> class ordered_map {
public:
	typedef typename Face::key_type key_type;
	typedef typename Face::key_view key_view;
	typedef T *mapped_type;
	typedef std::pair<const key_type, T *> value_type;
	typedef std::size_t size_type;

	/* Bidirectional, but for references: * gives a value. A copy finds its place again by its key. */
	class iterator {
	public:
		typedef std::bidirectional_iterator_tag iterator_category;
		typedef typename ordered_map::value_type value_type;
		typedef std::ptrdiff_t difference_type;
		struct arrow {
			value_type pair;
			const value_type *operator->() const { return &pair; }
		};
		typedef arrow pointer;
		typedef value_type reference;

		iterator() : tree(NULL), at_end(true), key(), value(NULL) {}
		iterator(const iterator &other) : tree(other.tree), at_end(other.at_end), key(other.key), value(other.value) {}
		iterator(iterator &&) = default;
		iterator &operator=(iterator other) noexcept
		{
			std::swap(tree, other.tree);
			std::swap(at_end, other.at_end);
			std::swap(key, other.key);
			std::swap(value, other.value);
			std::swap(walk, other.walk);
			return *this;
		}
		value_type operator*() const { return value_type(key, value); }
		arrow operator->() const { return arrow{ **this }; }
		iterator &operator++() { step(true); return *this; }
		iterator &operator--() { step(false); return *this; }
		iterator operator++(int) { iterator was(*this); step(true); return was; }
		iterator operator--(int) { iterator was(*this); step(false); return was; }
		/* On the same key, or both at the end, of the same tree. */
		friend bool operator==(const iterator &a, const iterator &b)
		{
			return a.tree == b.tree && a.at_end == b.at_end && (a.at_end || same(a.key, b.key));
		}
		friend bool operator!=(const iterator &a, const iterator &b) { return !(a == b); }

	private:
		friend class ordered_map;
		struct dropper {
			typedef typename Face::enum_type pointer;
			void operator()(pointer e) const { Face::drop(e); }
		};
		void *tree;
		bool at_end;
		key_type key;
		T *value;
		std::unique_ptr<void, dropper> walk;    /* it stands as we do; or none: made at need */

		explicit iterator(void *t) : tree(t), at_end(true), key(), value(NULL) {}
		static bool same(const SASIndexKey_t &a, const SASIndexKey_t &b) { return SASIndexKeyCompare(&a, &b) == 0; }
		template <class K> static bool same(const K &a, const K &b) { return a == b; }

		typename Face::enum_type get_walk()
		{
			if (!walk) {
				walk.reset(Face::make(tree));
				if (!walk || (at_end ? Face::seek_end(walk.get(), 1) : Face::seek(walk.get(), key, 0)) != 0)
					detail::fail();
				/* Onto the key, if it is there still: then a step leads on from it. */
				if (!at_end)
					Face::next(walk.get());
				key_type found;
				if (!at_end && (!Face::current(walk.get(), found) || !same(found, key)))
					Face::seek(walk.get(), key, 1);
			}
			return walk.get();
		}
		/* The value that the last step of the enumerator gave. */
		bool arrive(void *got)
		{
			if (!detail::given(got != NULL || errno == 0, ENOENT))
				return false;
			value = static_cast<T *>(got);
			if (!Face::current(walk.get(), key))
				detail::fail();
			at_end = false;
			return true;
		}
		void step(bool up)
		{
			typename Face::enum_type e = get_walk();

			errno = 0;
			if (arrive(up ? Face::next(e) : Face::previous(e)))
				return;
			at_end = true;
			value = NULL;
			if (Face::seek_end(e, 1) != 0)
				detail::fail();
		}
	};
	typedef iterator const_iterator;
	typedef std::reverse_iterator<iterator> reverse_iterator;

	explicit ordered_map(void *handle) : tree(handle) {}
	void *handle() const { return tree; }

	iterator end() const { return iterator(tree); }
	iterator begin() const { return from(NULL, 0); }
	reverse_iterator rbegin() const { return reverse_iterator(end()); }
	reverse_iterator rend() const { return reverse_iterator(begin()); }

	bool empty() const
	{
		int is = Face::is_empty(tree);

		if (is < 0)
			detail::fail();
		return is == 1;
	}
	/* Walks all of it. */
	size_type size() const
	{
		long n = Face::count(tree);

		if (n < 0)
			detail::fail();
		return static_cast<size_type>(n);
	}

	/* False: it is there already, with the value that it has. */
	bool insert(key_view key, T *value)
	{
		errno = 0;
		return detail::given(Face::put(tree, key, value), EEXIST);
	}
	bool insert(const value_type &pair) { return insert(pair.first, pair.second); }
	/* Only where it is there; the value before goes to *old. */
	bool replace(key_view key, T *value, T **old = NULL)
	{
		errno = 0;
		return had(Face::replace(tree, key, value), old);
	}
	size_type erase(key_view key, T **old = NULL)
	{
		errno = 0;
		return had(Face::remove(tree, key), old) ? 1 : 0;
	}
	/* The place after it. */
	iterator erase(iterator at)
	{
		iterator behind(at);

		++behind;
		erase(at.key);
		return behind;
	}

	iterator find(key_view key) const
	{
		iterator at(tree);
		T *value = NULL;

		errno = 0;
		if (had(Face::get(tree, key), &value)) {
			at.at_end = false;
			at.key = key_type(key);
			at.value = value;
		}
		return at;
	}
	bool contains(key_view key) const
	{
		errno = 0;
		return had(Face::get(tree, key), NULL);
	}
	size_type count(key_view key) const { return contains(key) ? 1 : 0; }
	/* The first at or above the key; the first above it. */
	iterator lower_bound(key_view key) const { return from(&key, 0); }
	iterator upper_bound(key_view key) const { return from(&key, 1); }

private:
	void *tree;

	static bool had(void *value, T **old)
	{
		bool there = detail::given(value != NULL || errno == 0, ENOENT);

		if (there && old)
			*old = static_cast<T *>(value);
		return there;
	}
	iterator from(const typename std::remove_reference<key_view>::type *key, int after) const
	{
		iterator at(tree);

		at.walk.reset(Face::make(tree));
		if (!at.walk || (key && Face::seek(at.walk.get(), *key, after) != 0))
			detail::fail();
		errno = 0;
		if (!at.arrive(Face::next(at.walk.get())) && Face::seek_end(at.walk.get(), 1) != 0)
			detail::fail();
		return at;
	}
};

/* K: unsigned long long, long long, double, or SASIndexKey_t. */
template <class T, class K = unsigned long long> using index_map = ordered_map<detail::index_face<K>, T>;
template <class T> using string_map = ordered_map<detail::string_face, T>;

} /* namespace sasphere */

#endif
