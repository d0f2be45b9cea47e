// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Data that can be recognised, and made again elsewhere from the same seed
 *
 * usage: pattern {text|random} SEED BYTES
 *
 * text: numbered lines that say which file they belong to, so that a look at
 * a disk finds them; random: a xorshift sequence.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64

int main(int argc, char **argv)
{
    static char buf[1 << 16];
    uint64_t seed, left, x;
    unsigned line = 0;

    if (argc != 4 || (strcmp(argv[1], "text") && strcmp(argv[1], "random"))) {
        fprintf(stderr, "usage: pattern {text|random} SEED BYTES\n");
        return 2;
    }
    seed = atoll(argv[2]);
    left = atoll(argv[3]);
    x = seed * 0x9e3779b97f4a7c15ull + 1;

    while (left) {
        size_t n = left < sizeof(buf) ? left : sizeof(buf);

        if (argv[1][0] == 't') {
            for (size_t i = 0; i < sizeof(buf); i += LINE, line++) {
                char text[2 * LINE];

                snprintf(text, sizeof(text), "file %6u line %10u "
                         "PLAINTEXT-OF-THE-DEMO %13s\n", (unsigned)seed,
                         line, "end");
                memcpy(buf + i, text, LINE);
            }
        } else {
            for (size_t i = 0; i < sizeof(buf); i += sizeof(x)) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                memcpy(buf + i, &x, sizeof(x));
            }
        }
        if (fwrite(buf, 1, n, stdout) != n) {
            perror("pattern");
            return 1;
        }
        left -= n;
    }
    return fflush(stdout) ? 1 : 0;
}
