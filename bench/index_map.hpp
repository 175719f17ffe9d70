/* SPDX-License-Identifier: MIT */
/*
 * index_map.hpp - an adapter for maps that look like std::map: uint64_t or std::string to uint64_t. Strings are looked up as views.
 */
#ifndef BENCH_INDEX_MAP_HPP
#define BENCH_INDEX_MAP_HPP

#include <string>
#include <string_view>
#include <type_traits>
#include "index_peer.h"

template <class Map, class View = std::string_view> struct index_map {
	Map map;
	uint64_t before = index_heap_bytes();

	static auto key_of(const index_key *key)
	{
		if constexpr (std::is_same_v<typename Map::key_type, uint64_t>)
			return key->number;
		else
			return View(key->bytes, key->size);
	}
	static Map &of(void *tree) { return static_cast<index_map *>(tree)->map; }

	static void *open(const char *, unsigned, size_t, int) { return new index_map; }
	static void close(void *tree, int) { delete static_cast<index_map *>(tree); }
	static int put(void *tree, const index_key *key)
	{
		return of(tree).try_emplace(typename Map::key_type(key_of(key)), key->value).second;
	}
	static uint64_t get(void *tree, const index_key *key)
	{
		const Map &map = of(tree);
		auto found = map.find(key_of(key));

		return found == map.end() ? 0 : found->second;
	}
	static uint64_t scan(void *tree)
	{
		uint64_t sum = 0;

		for (const auto &entry : of(tree))
			sum = index_fold(sum, entry.second);
		return sum;
	}
	static int remove(void *tree, const index_key *key)
	{
		Map &map = of(tree);
		auto found = map.find(key_of(key));

		if (found == map.end())
			return 0;
		map.erase(found);
		return 1;
	}
	static uint64_t bytes(void *tree) { return index_heap_bytes() - static_cast<index_map *>(tree)->before; }

	static constexpr index_peer peer(const char *name)
	{
		return { name, 0, open, close, put, get, index_no_reading, scan, remove, bytes, nullptr };
	}
};

#endif
