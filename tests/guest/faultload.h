/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A load on a file system whose every block says what it must be: see
 * faultload.c
 */
#ifndef FAULTLOAD_H
#define FAULTLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_SIZE 4096

/* What is in a block follows from this, and from nothing else. */
struct block_id {
    uint64_t seed;
    uint32_t file;
    uint32_t block;
    uint32_t generation;
};

/* A write failed: one of two generations, or a part of both */
#define GENERATION_UNKNOWN 0

/* The generations of all blocks of all files */
struct table {
    uint64_t seed;
    uint32_t files;
    uint32_t blocks;        /* of each file */
    uint32_t *generations;  /* of block b of file f: [f * blocks + b] */
};

uint64_t random_next(uint64_t *state);

void block_fill(void *buf, const struct block_id *id);
/* Is it that block? If not, @why says what is there in its place. */
bool block_good(const void *buf, const struct block_id *id,
                char *why, size_t why_size);

void table_new(struct table *table, uint64_t seed, uint32_t files,
               uint32_t blocks);
bool table_save(const struct table *table, const char *path);
void table_load(struct table *table, const char *path);
struct block_id table_block(const struct table *table, uint32_t file,
                            uint32_t block);

/* Compares standard input with a file of the table; an exit status. */
int verify_file(const char *table_path, uint32_t file);

void die(const char *what) __attribute__((noreturn));

#endif
