/*
 * CXL.cache: are results worth keeping?
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_keep.h"

#define PAGE    64u     /* lines */

/* A device that writes pages, and somebody who takes some of them */
typedef struct Use {
    CXLCacheKeep keep;
    uint64_t taken;
    unsigned owed;      /* lines that are to be taken, but are not yet */
} Use;

/*
 * Write @pages, of which @percent are taken as soon as @lag lines more are
 * kept; returns how many were written through.
 */
static unsigned use(Use *u, unsigned pages, unsigned percent, unsigned lag)
{
    unsigned through = 0;

    for (unsigned i = 0; i < pages; i++) {
        if (!cxl_cache_keep(&u->keep, PAGE, u->taken)) {
            through++;
            continue;
        }
        u->owed += PAGE * ((i + 1) * percent / 100 - i * percent / 100);
        if (u->owed > lag) {
            u->taken += u->owed - lag;
            u->owed = lag;
        }
    }
    return through;
}

#define WINDOW  (CXL_CACHE_KEEP_WINDOW / PAGE)
#define REST    (CXL_CACHE_KEEP_REST / PAGE)
#define LONGEST (CXL_CACHE_KEEP_REST_MAX / PAGE)

static void test_untouched(void)
{
    Use u = { };

    g_assert_cmpuint(use(&u, 1000 * WINDOW, 0, 0), ==, 0);
}

static void test_touched(void)
{
    Use u = { };
    unsigned rest;

    /* A window of all kept, then rests, with a window before each */
    for (rest = REST; rest < 2 * LONGEST; rest *= 2) {
        g_assert_cmpuint(use(&u, WINDOW, 100, 0), ==, 0);
        g_assert_cmpuint(use(&u, rest, 100, 0), ==, rest);
    }
    /* They do not grow beyond that. */
    g_assert_cmpuint(use(&u, WINDOW, 100, 0), ==, 0);
    g_assert_cmpuint(use(&u, LONGEST, 100, 0), ==, LONGEST);
    g_assert_cmpuint(use(&u, WINDOW, 100, 0), ==, 0);
}

/* Half is where it turns. */
static void test_half(void)
{
    Use less = { }, more = { };

    g_assert_cmpuint(use(&less, 4 * WINDOW, 45, 0), ==, 0);
    g_assert_cmpuint(use(&more, WINDOW, 55, 0), ==, 0);
    g_assert_cmpuint(use(&more, REST, 55, 0), ==, REST);
}

/* Requests in flight: the last of a window's are taken later. */
static void test_lag(void)
{
    Use u = { };

    g_assert_cmpuint(use(&u, WINDOW, 100, 100 * PAGE), ==, 0);
    g_assert_cmpuint(use(&u, REST, 100, 100 * PAGE), ==, REST);
}

/* What changes is noticed after the rest that is running, and forgiven. */
static void test_change(void)
{
    Use u = { };

    use(&u, WINDOW, 100, 0);
    g_assert_cmpuint(use(&u, REST, 100, 0), ==, REST);
    /* Nobody touches results any more: kept from here on. */
    g_assert_cmpuint(use(&u, 100 * WINDOW, 0, 0), ==, 0);
    /* ... until somebody does, and the first rest is a short one. */
    use(&u, WINDOW, 100, 0);
    g_assert_cmpuint(use(&u, REST + WINDOW, 100, 0), ==, REST);
}

/* Results that end in the middle of windows and rests, or are larger */
static void test_sizes(void)
{
    CXLCacheKeep k = { };

    g_assert_true(cxl_cache_keep(&k, 3 * CXL_CACHE_KEEP_WINDOW, 7));
    g_assert_false(cxl_cache_keep(&k, 1, 7 + 2 * CXL_CACHE_KEEP_WINDOW));
    g_assert_false(cxl_cache_keep(&k, 2 * CXL_CACHE_KEEP_REST, 0));
    g_assert_true(cxl_cache_keep(&k, 1, 0));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-cache/keep/untouched", test_untouched);
    g_test_add_func("/cxl-cache/keep/touched", test_touched);
    g_test_add_func("/cxl-cache/keep/half", test_half);
    g_test_add_func("/cxl-cache/keep/lag", test_lag);
    g_test_add_func("/cxl-cache/keep/change", test_change);
    g_test_add_func("/cxl-cache/keep/sizes", test_sizes);
    return g_test_run();
}
