/* SPDX-License-Identifier: MIT */
/*
 * context_project.c - project contexts: the finder of the default region names a root context, and that names them. Layer 5.
 *
 * Locks: the address lock of the region's first address, WRITE, over each call that changes; inside it those of contexts.
 * Crash: the finder, and the name in the root, are one step each. A process that dies before one leaves a context that nobody
 *   names, of blocks of its generation, as after SPHContextCreate().
 */
#include <config.h>

#include <errno.h>

#include "context.h"
#include "saslock.h"
#include "sasregion.h"

#define ROOT block__Size64K
#define PROJECT block__Size1M

static SPHContext_t current;            /* of this process */

static SPHContext_t get_current(void)
{
	return __atomic_load_n(&current, __ATOMIC_ACQUIRE);
}

static void set_current(SPHContext_t context)
{
	__atomic_store_n(&current, context, __ATOMIC_RELEASE);
}

/* Its region, and that locked; NULL: errno is set. */
static SASRegion_t begin(void **base)
{
	SASRegionInfo info = { .structSize = sizeof info };
	SASRegion_t region = SASRegionDefault();

	if (!region)
		return sph_null(sas_service_fail(EINVAL, "no region is joined, so there are no projects"));
	if (SASRegionGetInfo(region, &info) != 0)
		return NULL;
	*base = (void *)info.base;
	return SASLockTake(*base, SasUserLock__WRITE, 0, -1) == 0 ? region : NULL;
}

static void end(void *base)
{
	int error = errno;

	SASLockGive(base);
	errno = error;
}

/* NULL, -ENOENT: there is none; -EEXIST: the finder names something else. */
static SPHContext_t find_root(SASRegion_t region, int *error)
{
	void *finder = SASRegionFinder(region);

	*error = finder ? 0 : -ENOENT;
	if (finder && !SPHContextIs(finder))
		*error = sas_service_fail(EEXIST, "the finder names %p, which is no context", finder);
	return *error ? NULL : finder;
}

static SPHContext_t make_root(SASRegion_t region)
{
	SPHContext_t root = sph_context_make(region, ROOT);
	int error;

	if (!root || SASRegionSetFinder(region, root) == 0)
		return root;
	error = errno;
	SPHContextDestroy(root);
	errno = error;
	return NULL;
}

static SPHContext_t make_project(SASRegion_t region, SPHContext_t root, const char *name)
{
	SPHContext_t project = sph_context_make(region, PROJECT);
	int error;

	if (!project || SPHContextAddName(root, name, project))
		return project;
	error = errno;
	SPHContextDestroy(project);
	errno = error;
	return NULL;
}

static SPHContext_t find_project(SPHContext_t root, const char *name)
{
	SPHContext_t project = SPHContextFindByName(root, name);

	if (!project || SPHContextIs(project))
		return project;
	return sph_null(sas_service_fail(EEXIST, "\"%s\" names %p, which is no context", name, project));
}

static SPHContext_t set_up(SASRegion_t region, const char *name)
{
	int error;
	SPHContext_t project, root = find_root(region, &error);

	if (error == -ENOENT)
		root = make_root(region);
	else if (error)
		return sph_null(error);
	if (!root)
		return NULL;
	project = find_project(root, name);
	return project || errno != ENOENT ? project : make_project(region, root, name);
}

static SPHContext_t set_up_locked(const char *name)
{
	SPHContext_t project;
	SASRegion_t region;
	void *base;
	size_t size;
	int error = sph_context_check_name(name, &size);

	if (error)
		return sph_null(error);
	region = begin(&base);
	if (!region)
		return NULL;
	project = set_up(region, name);
	end(base);
	return project;
}

SPHContext_t SPHSetupProjectContext(const char *project_name)
{
	SPHContext_t project = set_up_locked(project_name);

	if (project)
		set_current(project);
	return project;
}

SPHContext_t SPHSetupAltProjectContext(const char *project_name)
{
	return set_up_locked(project_name);
}

/* --- removing */

static SPHContext_t unlink_project(const char *name)
{
	SPHContext_t root, project = NULL;
	SASRegion_t region;
	void *base;
	int error;

	region = begin(&base);
	if (!region)
		return NULL;
	root = find_root(region, &error);
	if (error)
		sas_service_errno(error);
	else
		project = find_project(root, name);
	if (project && SPHContextRemoveByName(root, name) != 0)
		project = NULL;
	if (project && project == get_current())
		set_current(NULL);
	end(base);
	return project;
}

SPHContext_t SPHRemoveProjectContext(const char *project_name)
{
	return unlink_project(project_name);
}

int SPHDestroyProjectContext(const char *project_name)
{
	SPHContext_t project = unlink_project(project_name);

	if (project)
		return SPHContextDestroy(project);
	return errno == ENOENT ? 1 : -1;
}

/* --- finding */

SPHContext_t getProjectContextByName(const char *project_name)
{
	SASRegion_t region = SASRegionDefault();
	SPHContext_t root;
	int error;

	if (!region)
		return sph_null(sas_service_fail(EINVAL, "no region is joined, so there are no projects"));
	root = find_root(region, &error);
	return error ? sph_null(error) : find_project(root, project_name);
}

SPHContext_t getCurrentProjectContext(void)
{
	return get_current();
}
