/* SPDX-License-Identifier: MIT */
/* index_stdmap.cpp - std::map. */
#include <map>
#include "index_map.hpp"

const index_peer index_stdmap[KINDS] = {
	index_map<std::map<uint64_t, uint64_t>>::peer("std::map"),
	index_map<std::map<std::string, uint64_t, std::less<>>>::peer("std::map"),
};
