/*
 * CXL.cache: libFuzzer target, an illegal peer made of the input's bytes
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the bytes mean, and what has to hold whatever they are, is in
 * world_adversary(). Built and run by scripts/fuzz-cache.sh.
 */

#include "qemu/osdep.h"
#include "../unit/cxl-cache-world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_adversary(data, size);
    return 0;
}
