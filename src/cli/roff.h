/* Writes manual pages: text becomes man(7) source that no formatter trips over. */
#pragma once

#include <stddef.h>

#include "../base/str.h"

void roff_title(struct buf *page, const char *name, int section);
void roff_section(struct buf *page, const char *title);

/* Running text: blank lines begin paragraphs; words of the form name(1) become bold references. */
void roff_text(struct buf *page, const char *text);

/* Text that is copied as it stands, without fill: examples, output. */
void roff_literal(struct buf *page, const char *text);

/* A tagged paragraph: tag is already source (see roff_bold, roff_escape), text runs. */
void roff_tagged(struct buf *page, const char *tag, const char *text);

/* Appends text in which every character stands for itself; hyphens are those of options. */
void roff_escape(struct buf *page, const char *text, size_t len);
void roff_bold(struct buf *page, const char *text);
