/* SPDX-License-Identifier: MIT */
/*
 * parse.c - the control-file format of package indexes: stanzas of "Field: value" lines, folded
 * lines begin with a blank, an empty line ends a stanza. Nothing is copied: slices of the text.
 */
#include <stddef.h>
#include <string.h>
#include "packages.h"

static const struct field {
	const char *name;
	size_t offset;                  /* of a slice in struct stanza */
} fields[] = {
	{ "Package", offsetof(struct stanza, package) },
	{ "Version", offsetof(struct stanza, version) },
	{ "Architecture", offsetof(struct stanza, architecture) },
	{ "Section", offsetof(struct stanza, section) },
	{ "Description", offsetof(struct stanza, summary) },
	{ "Depends", offsetof(struct stanza, depends) },
	{ "Pre-Depends", offsetof(struct stanza, pre_depends) },
};

/* What is not there is an empty text. */
static const struct slice nothing = { "", 0 };

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void trim(struct slice *text)
{
	while (text->length > 0 && is_blank(*text->at)) {
		text->at++;
		text->length--;
	}
	while (text->length > 0 && is_blank(text->at[text->length - 1]))
		text->length--;
}

static int slice_is(struct slice text, const char *word)
{
	return strlen(word) == text.length && memcmp(text.at, word, text.length) == 0;
}

static uint64_t number_in(struct slice text)
{
	uint64_t value = 0;

	for (size_t i = 0; i < text.length && text.at[i] >= '0' && text.at[i] <= '9'; i++)
		value = value * 10 + (uint64_t)(text.at[i] - '0');
	return value;
}

static struct slice take_line(struct slice *rest)
{
	struct slice line = *rest;
	const char *end = memchr(rest->at, '\n', rest->length);

	if (end != NULL)
		line.length = (size_t)(end - rest->at);
	rest->at += line.length + (end != NULL);
	rest->length -= line.length + (end != NULL);
	return line;
}

static void take_field(struct stanza *stanza, struct slice name, struct slice value)
{
	trim(&value);
	if (slice_is(name, "Installed-Size"))
		stanza->installed_size = number_in(value);
	else if (slice_is(name, "Size"))
		stanza->size = number_in(value);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (slice_is(name, fields[i].name))
			*(struct slice *)((char *)stanza + fields[i].offset) = value;
}

/* A line and the folded ones that follow it, as one slice. */
static struct slice take_folded(struct slice *rest)
{
	struct slice all = take_line(rest);

	while (rest->length > 0 && (*rest->at == ' ' || *rest->at == '\t')) {
		struct slice line = take_line(rest);

		all.length = (size_t)(line.at + line.length - all.at);
	}
	return all;
}

/* The next stanza that names a package: 1; 0 at the end of the text. */
int parse_stanza(struct slice *rest, struct stanza *stanza)
{
	*stanza = (struct stanza){ nothing, nothing, nothing, nothing, nothing, nothing, nothing, 0, 0 };
	while (rest->length > 0) {
		struct slice line = take_folded(rest), name = line;
		const char *colon = memchr(line.at, ':', line.length);

		if (line.length == 0 && stanza->package.length > 0)
			return 1;
		if (line.length == 0 || colon == NULL)
			continue;
		name.length = (size_t)(colon - line.at);
		line.at = colon + 1;
		line.length -= name.length + 1;
		take_field(stanza, name, line);
	}
	if (stanza->summary.length > 0) {
		struct slice summary = stanza->summary;

		stanza->summary = take_line(&summary);
	}
	return stanza->package.length > 0;
}

/* Up to a byte of `stops`, or all. */
static struct slice take_until(struct slice *rest, const char *stops)
{
	struct slice taken = { rest->at, 0 };

	while (taken.length < rest->length && strchr(stops, taken.at[taken.length]) == NULL)
		taken.length++;
	rest->at += taken.length;
	rest->length -= taken.length;
	return taken;
}

/* What follows a name in an alternative: ":any", "(>= 1)", "[amd64]", "<!nocheck>". */
static void take_marks(struct slice marks, struct relation *relation)
{
	while (marks.length > 0) {
		char c = *marks.at++;

		marks.length--;
		if (c == ':')
			relation->qualifier = take_until(&marks, " \t\n([<");
		else if (c == '(')
			relation->constraint = take_until(&marks, ")");
	}
	trim(&relation->constraint);
}

/* Whether another alternative of the same dependency follows. */
static int has_alternative(struct slice rest)
{
	while (rest.length > 0 && (is_blank(*rest.at) || *rest.at == '|')) {
		rest.at++;
		rest.length--;
	}
	return rest.length > 0 && *rest.at != ',';
}

/* The next alternative of "a | b (>= 1), c:any": 1; 0 when there is none left. */
int parse_relation(struct slice *rest, struct relation *relation)
{
	while (rest->length > 0) {
		struct slice part = take_until(rest, ",|");

		*relation = (struct relation){ nothing, nothing, nothing, 0 };
		if (rest->length > 0) {
			relation->more = *rest->at == '|' && has_alternative(*rest);
			rest->at++;
			rest->length--;
		}
		trim(&part);
		if (part.length == 0)
			continue;
		relation->name = take_until(&part, " \t\n:([<");
		take_marks(part, relation);
		return 1;
	}
	return 0;
}
