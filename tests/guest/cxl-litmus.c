// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Litmus tests: two CPUs and a CXL.cache device as three coherent agents.
 *
 * usage: cxl-litmus [-f] [-x PERCENT] [-t SECONDS] [-s SEED] [TEST]...
 *        cxl-litmus -b
 *
 * Runs all tests, or those that are named.  -x scales the number of
 * repetitions, -t limits how long a device may take for a program.
 * -f ends at the first point that is not ok.  -b measures (cxl-litmus-bench.c).
 * Output is TAP; the exit status is 0 when every point is ok.
 *
 * Agents run freely, not in step: any two iterations of theirs are a test.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cxl-litmus.h"

static const struct test {
    const char *name;
    void (*fn)(void);
} tests[] = {
    { "mp", test_mp },
    { "sb", test_sb },
    { "posted", test_posted },
    { "lb", test_lb },
    { "co", test_co },
    { "three", test_three },
    { "atomic", test_atomic },
    { "split", test_split },
    { "tight", test_tight },
    { "sharing", test_sharing },
    { "code", test_code },
    { "table", test_table },
    { "stress", test_stress },
    { "crypto", test_crypto },
};

static bool wanted(const char *name, char **names, int n)
{
    for (int i = 0; i < n; i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return !n;
}

int main(int argc, char **argv)
{
    bool measuring = false;
    int option;

    while ((option = getopt(argc, argv, "bfx:t:s:")) != -1) {
        unsigned long value = optarg ? strtoul(optarg, NULL, 0) : 0;

        switch (option) {
        case 'b':
            measuring = true;
            break;
        case 'f':
            give_up = true;
            break;
        case 'x':
            scale = value;
            break;
        case 't':
            limit = value;
            break;
        case 's':
            seed = value ? value : 1;
            break;
        default:
            return 2;
        }
    }
    find_devices();
    if (!num_devs) {
        errno = ENODEV;
        die("cxl-cache-testdev");
    }
    if (measuring) {
        bench();
        return 0;
    }
    order_init();
    note("%d device(s), scale %u %%, seed %llu", num_devs, scale, (ULL)seed);
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (wanted(tests[i].name, argv + optind, argc - optind)) {
            double start = now();

            tests[i].fn();
            note("%s: %.1f s", tests[i].name, now() - start);
        }
    }
    note("totals: %llu steps of devices, %llu rounds of CPUs, %llu relaxed",
         (ULL)totals.steps, (ULL)totals.rounds, (ULL)totals.relaxed);
    printf("1..%d\n", points);
    return failures ? 1 : 0;
}
