// SPDX-License-Identifier: MIT
//
// test_tree_map.cc - sastree.hpp: indexes and string trees as ordered maps.

#include <config.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include <sassim.h>
#include <sastree.hpp>
extern "C" {
#include "sandbox.h"
}

static int failed;

#define check(condition)                                                        \
	do {                                                                    \
		if (!(condition)) {                                             \
			std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			failed = 1;                                             \
		}                                                               \
	} while (0)

template <class Call> static int error_of(Call call)
{
	try {
		call();
	} catch (const std::system_error &e) {
		return e.code().value();
	}
	return 0;
}

static int values[2000];

static void test_strings()
{
	sasphere::string_map<int> map(SASStringBTreeCreate(65536));

	check(map.empty());
	check(map.begin() == map.end());
	for (int i = 0; i < 1000; i++)
		check(map.insert("key " + std::to_string(1000 + i * 7 % 1000), &values[i * 7 % 1000]));
	check(!map.insert("key 1000", &values[1]));
	check(map.size() == 1000);
	check(map.find("key 1500")->second == &values[500]);
	check(map.find("key") == map.end());
	check(map.contains("key 1999") && map.count("key 2000") == 0);

	int i = 0;
	for (auto entry : map) {
		check(entry.first == "key " + std::to_string(1000 + i));
		check(entry.second == &values[i]);
		i++;
	}
	check(i == 1000);
	for (auto at = map.rbegin(); at != map.rend(); ++at)
		check(at->second == &values[--i]);
	check(i == 0);

	check(map.lower_bound("key 1500")->first == "key 1500");
	check(map.upper_bound("key 1500")->first == "key 1501");
	check(map.lower_bound("key 15000")->first == "key 1501");
	check(map.lower_bound("z") == map.end());
	auto last = map.end();
	check((--last)->first == "key 1999");
	check(++last == map.end());

	auto at = map.find("key 1100"), copy = at;
	check((++at)->first == "key 1101" && copy->first == "key 1100" && (--copy)->first == "key 1099");
	check(at++->first == "key 1101" && at--->first == "key 1102" && at->first == "key 1101");

	int *old = NULL;
	check(map.erase("key 1102", &old) == 1 && old == &values[102]);
	check(map.erase("key 1102") == 0);
	check((++at)->first == "key 1103");
	check(map.erase(at)->first == "key 1104");
	auto gone = map.find("key 1200");
	map.erase("key 1200");
	auto before = gone;
	check((++gone)->first == "key 1201" && (--before)->first == "key 1199");
	check(map.replace("key 1300", NULL, &old) && old == &values[300]);
	check(map.contains("key 1300") && map.find("key 1300")->second == NULL);
	check(!map.replace("none", NULL));
	check(map.size() == 997);
	check(error_of([&] { map.insert(std::string("a\0b", 3), NULL); }) == EINVAL);
	check(error_of([&] { map.insert(std::string(2000, 'x'), NULL); }) == ENAMETOOLONG);
	SASStringBTreeDestroy(map.handle());
	check(error_of([&] { map.size(); }) == EINVAL);
	check(error_of([&] { map.begin(); }) == EINVAL);
	check(error_of([&] { map.find("x"); }) == EINVAL);
}

static void test_numbers()
{
	sasphere::index_map<int, long long> map(SASIndexCreate(65536));
	std::map<long long, int *> model;

	for (int i = 0; i < 2000; i++) {
		long long key = (i * 7919LL % 2000 - 1000) * 1000000007LL;

		check(map.insert(key, &values[i]));
		model[key] = &values[i];
	}
	auto at = map.begin();
	for (const auto &entry : model) {
		check(at->first == entry.first && (*at).second == entry.second);
		++at;
	}
	check(at == map.end());
	check(std::distance(map.begin(), map.end()) == 2000);
	check(std::count_if(map.begin(), map.end(), [](std::pair<const long long, int *> e) { return e.first < 0; }) == 1000);
	check(map.lower_bound(-1)->first == 0);
	check(map.upper_bound(0)->first == 1000000007LL);
	while (!map.empty())
		map.erase(map.begin());
	check(map.begin() == map.end());
	SASIndexDestroy(map.handle());
}

static void test_other_keys()
{
	void *index = SASIndexCreate(65536);
	sasphere::index_map<int, double> doubles(index);
	sasphere::index_map<int, SASIndexKey_t> keys(index);
	SASIndexKey_t wide = { 24, 16, { 1, 2 } };

	check(doubles.insert(-1.5, &values[0]) && doubles.insert(0.0, &values[1]) && doubles.insert(1e300, &values[2]));
	check(!doubles.insert(-0.0, &values[3]));
	check(doubles.begin()->first == -1.5);
	check(doubles.upper_bound(0.5)->first == 1e300);
	check(keys.insert(wide, &values[4]));
	check(keys.begin()->first.data[1] == 2 && keys.find(wide) == keys.begin());
	check(keys.size() == 4);
	SASIndexDestroy(index);
}

static int run(int, char **)
{
	char store[PATH_MAX];

	if (sandbox_directory(store) != 0 || setenv("SASSTOREPATH", store, 1) != 0 || setenv("SAS_BASE", "0x565800000000", 1) != 0 ||
	    setenv("SAS_REGION_SIZE", "64M", 1) != 0 || setenv("SAS_SEGMENT_SIZE", "2M", 1) != 0 || SASJoinRegion() != 0) {
		std::perror("SASJoinRegion");
		return 99;
	}
	test_strings();
	test_numbers();
	test_other_keys();
	SASCleanUp();
	return failed;
}

int main(int argc, char **argv)
{
	return sandbox_run(run, argc, argv);
}
