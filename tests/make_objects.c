/* SPDX-License-Identifier: MIT */
/*
 * make_objects.c - objects for scripts: joins the default region (SASSTOREPATH), makes one of each kind, prints "name address" for each,
 * and leaves. make_objects context: the finder leads to the context.
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include "objects.h"
#include "sasregion.h"
#include "sassim.h"

int main(int argc, char **argv)
{
	struct objects o;

	if (SASJoinRegion() != 0 || objects_make(&o) != 0) {
		fprintf(stderr, "make_objects: %s\n", SASLastErrorMessage());
		return 1;
	}
	printf("heap %p\nstack %p\nspace %p\ncompound %p\nindex %p\nstrings %p\ncontext %p\nown %p\nplain %p\n", o.heap, o.stack, o.space,
	       o.compound, o.index, o.strings, o.context, o.own, o.plain);
	if (argc > 1 && strcmp(argv[1], "context") == 0 && SASRegionSetFinder(SASRegionOf(o.context), o.context) != 0) {
		fprintf(stderr, "make_objects: %s\n", SASLastErrorMessage());
		return 1;
	}
	SASCleanUp();
	return 0;
}
