// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of generations, and the comparison of a file with it.  Text, so
 * that it can be looked at: a line "faultload SEED FILES BLOCKS", then one
 * number for each block.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "faultload.h"

#define MAX_SHOWN 10

static size_t table_size(const struct table *table)
{
    return (size_t)table->files * table->blocks;
}

void table_new(struct table *table, uint64_t seed, uint32_t files,
               uint32_t blocks)
{
    table->seed = seed;
    table->files = files;
    table->blocks = blocks;
    table->generations = calloc(table_size(table),
                                sizeof(*table->generations));
    if (!table->generations) {
        die("memory for the table");
    }
}

bool table_save(const struct table *table, const char *path)
{
    FILE *out = fopen(path, "w");

    if (!out) {
        return false;
    }
    fprintf(out, "faultload %" PRIu64 " %u %u\n", table->seed, table->files,
            table->blocks);
    for (size_t i = 0; i < table_size(table); i++) {
        fprintf(out, "%u\n", table->generations[i]);
    }
    return !fclose(out);
}

void table_load(struct table *table, const char *path)
{
    FILE *in = fopen(path, "r");
    uint32_t files, blocks;
    uint64_t seed;

    if (!in || fscanf(in, "faultload %" SCNu64 " %u %u\n", &seed, &files,
                      &blocks) != 3 || !files || !blocks) {
        die(path);
    }
    table_new(table, seed, files, blocks);
    for (size_t i = 0; i < table_size(table); i++) {
        if (fscanf(in, "%u\n", &table->generations[i]) != 1) {
            die(path);
        }
    }
    fclose(in);
}

struct block_id table_block(const struct table *table, uint32_t file,
                            uint32_t block)
{
    return (struct block_id) {
        table->seed, file, block,
        table->generations[(size_t)file * table->blocks + block],
    };
}

int verify_file(const char *table_path, uint32_t file)
{
    struct table table;
    uint32_t bad = 0;
    char why[256];

    table_load(&table, table_path);
    if (file >= table.files) {
        die("no such file in the table");
    }
    for (uint32_t b = 0; b < table.blocks; b++) {
        struct block_id id = table_block(&table, file, b);
        uint8_t buf[BLOCK_SIZE];

        if (fread(buf, BLOCK_SIZE, 1, stdin) != 1) {
            printf("file %u ends before block %u\n", file, b);
            return 1;
        }
        if (id.generation == GENERATION_UNKNOWN) {
            snprintf(why, sizeof(why), "file %u block %u: a write of it failed",
                     file, b);
        } else if (block_good(buf, &id, why, sizeof(why))) {
            continue;
        }
        if (bad++ < MAX_SHOWN) {
            puts(why);
        }
    }
    if (getchar() != EOF) {
        printf("file %u is longer than %u blocks\n", file, table.blocks);
        return 1;
    }
    printf("file %u: %u of %u blocks are wrong\n", file, bad, table.blocks);
    return bad ? 1 : 0;
}
