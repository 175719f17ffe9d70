/* SPDX-License-Identifier: MIT */
/*
 * near.c - trees whose nodes lie near each other: a node finds its own heap. Each run adds a tree in a heap of its own. The region is
 * the directory SASSTOREPATH, else the working directory.
 */
#include <stdio.h>
#include <sassim.h>
#include <sassimpleheap.h>

struct node {
	struct node *left, *right;
};
struct tree {
	struct node root;
	struct tree *older;
	long number;
};

/* Nothing but a node of it is known. Space in a heap is not zeroed. */
static void grow(struct node *node, int levels)
{
	node->left = node->right = NULL;
	if (levels == 0)
		return;
	node->left = SASNearAlloc(node, sizeof *node);
	node->right = SASNearAlloc(node, sizeof *node);
	if (node->left != NULL)
		grow(node->left, levels - 1);
	if (node->right != NULL)
		grow(node->right, levels - 1);
}

/* Nodes that lie in the same heap as the root. */
static int count(const struct node *node, SASSimpleHeap_t heap)
{
	if (node == NULL || SASSimpleHeapNearFind((void *)node) != heap)
		return 0;
	return 1 + count(node->left, heap) + count(node->right, heap);
}

int main(void)
{
	SASSimpleHeap_t heap;
	struct tree *tree;

	if (SASJoinRegion() != 0) {
		perror("SASJoinRegion");
		return 1;
	}
	heap = SASSimpleHeapCreate(4096);
	tree = SASSimpleHeapAlloc(heap, sizeof *tree);
	if (tree == NULL) {
		perror("near");
		return 1;
	}
	tree->older = getSASFinder();
	tree->number = tree->older != NULL ? tree->older->number + 1 : 1;
	grow(&tree->root, 2);
	setSASFinder(tree);                     /* one store: before it the new tree is nobody's */
	for (; tree != NULL; tree = tree->older)
		printf("Tree %ld has %d nodes, all of them in the heap at %p.\n", tree->number,
		       count(&tree->root, SASSimpleHeapNearFind(tree)), SASSimpleHeapNearFind(tree));
	SASCleanUp();
	return 0;
}
