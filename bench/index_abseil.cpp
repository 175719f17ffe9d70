/* SPDX-License-Identifier: MIT */
/* index_abseil.cpp - absl::btree_map. */
#include <absl/container/btree_map.h>
#include "index_map.hpp"

const index_peer index_abseil[KINDS] = {
	index_map<absl::btree_map<uint64_t, uint64_t>>::peer("absl::btree_map"),
	index_map<absl::btree_map<std::string, uint64_t>, absl::string_view>::peer("absl::btree_map"),
};
