/*
 * CXL.cache: the state tables as reStructuredText
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CXL_CACHE_RST_H
#define TESTS_CXL_CACHE_RST_H

/**
 * cxl_cache_rst: docs/system/devices/cxl-cache-tables.rst, as it should be
 *
 * A test compares the two; "test-cxl-cache --print-tables" writes it.
 */
GString *cxl_cache_rst(void);

#endif /* TESTS_CXL_CACHE_RST_H */
