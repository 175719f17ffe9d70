/* SPDX-License-Identifier: MIT */
/* main.c - fuzz/region.h under libFuzzer, in a sandbox. Built by tests/run-fuzz alone. */
#include <config.h>

#include "../sandbox.h"
#include "region.h"

int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one)(const uint8_t *input, size_t size));

static int one(const uint8_t *input, size_t size)
{
	fuzz_one(input, size);
	return 0;
}

static int drive(int argc, char **argv)
{
	fuzz_begin();
	return LLVMFuzzerRunDriver(&argc, &argv, one);
}

int main(int argc, char **argv)
{
	sandbox_prefer_memory();
	return sandbox_run(drive, argc, argv);
}
