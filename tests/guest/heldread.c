// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who reads a file past the page cache, has the buffer back, and keeps it
 *
 * usage: heldread FILE BYTES READ LOOK
 *
 * Once it has read the first BYTES of FILE it fills the buffer anew and makes
 * the file READ.  When there is a file LOOK it looks whether somebody has
 * written to the buffer since then.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIGNMENT 4096
#define FILLER 0xa5
#define POLL_US 10000

static int fail(const char *what)
{
    perror(what);
    return 2;
}

static int look(const uint8_t *buf, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (buf[i] != FILLER) {
            printf("byte %zu of the buffer was written\n", i);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t bytes;
    uint8_t *buf;
    int fd;

    if (argc != 5) {
        fprintf(stderr, "usage: heldread FILE BYTES READ LOOK\n");
        return 2;
    }
    bytes = atoll(argv[2]);
    buf = aligned_alloc(ALIGNMENT, bytes);
    fd = open(argv[1], O_RDONLY | O_DIRECT);
    if (!buf || fd < 0 || read(fd, buf, bytes) != (ssize_t)bytes) {
        return fail(argv[1]);
    }
    memset(buf, FILLER, bytes);
    fd = open(argv[3], O_WRONLY | O_CREAT, 0600);
    if (fd < 0) {
        return fail(argv[3]);
    }
    while (access(argv[4], F_OK)) {
        usleep(POLL_US);
    }
    return look(buf, bytes);
}
