/*
 * CacheMemRegion: who uses memory past the trap
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/notify.h"
#include "system/ramlist.h"
#include "cache_mem_bypass.h"
#include "trace.h"

struct CacheMemBypass {
    Notifier notifier;
    void (*changed)(void *opaque);
    void *opaque;
    bool warned;
};

const char *cache_mem_bypass_why(const RAMBlock *rb)
{
    const char *name = ram_external_user(rb);
    g_autofree char *why = NULL;

    if (!name) {
        return NULL;
    }
    why = g_strdup_printf("it is used by %s too, past QEMU's page tables",
                          name);
    /* A handful of names: whoever has the answer need not look after it. */
    return g_intern_string(why);
}

/* Once: a guest may be able to have such users come and go. */
static void warn(CacheMemBypass *bypass)
{
    const char *why = cache_mem_bypass_why(NULL);

    if (why && !bypass->warned) {
        bypass->warned = true;
        warn_report("CXL.cache: devices use lines of guest memory once and "
                    "keep none for now: %s", why);
    }
}

static void user_changed(Notifier *notifier, void *data)
{
    CacheMemBypass *bypass = container_of(notifier, CacheMemBypass, notifier);

    trace_cxl_cache_bypass(ram_external_user(NULL) ?: "nobody");
    warn(bypass);
    bypass->changed(bypass->opaque);
}

CacheMemBypass *cache_mem_bypass_new(void (*changed)(void *opaque),
                                     void *opaque)
{
    CacheMemBypass *bypass = g_new0(CacheMemBypass, 1);

    bypass->changed = changed;
    bypass->opaque = opaque;
    bypass->notifier.notify = user_changed;
    ram_external_user_notifier_add(&bypass->notifier);
    warn(bypass);
    return bypass;
}

void cache_mem_bypass_free(CacheMemBypass *bypass)
{
    ram_external_user_notifier_remove(&bypass->notifier);
    g_free(bypass);
}
