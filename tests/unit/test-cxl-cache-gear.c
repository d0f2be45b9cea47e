/*
 * CXL.cache: the fast gear against messages
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_gear.h"
#include "cxl-cache-world.h"

static void no_page(void)
{
    World *w = world(1);

    /* A world without pages: everything is left to messages. */
    g_assert_cmphex(cxl_cache_page_own(w->dev[0], WORLD_BASE, 4), ==, 0);
    world_free(w);
}

int main(int argc, char **argv)
{
    static const WorldTest tests[] = {
        { "no-page", no_page },
    };

    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/gear/", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
