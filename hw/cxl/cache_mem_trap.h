/*
 * CacheMemRegion: the trap, userfaultfd
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory of a shared file that is mapped twice: once for the guest and all
 * that QEMU does for it, and once more, the alias, for whoever asks here. The
 * guest's mapping of a page can be taken away (zapped) or write-protected, and
 * then whoever touches it sleeps until it is given back: a vCPU under any
 * accelerator, another device's DMA, a system call.
 *
 * What a page is and why it is taken away is the caller's business, and so is
 * that no two threads call for the same page. Addresses are of the guest's
 * mapping (@host) and of the alias, sizes are bytes, both are multiples of
 * CACHE_MEM_PAGE_SIZE.
 */

#ifndef HW_CXL_CACHE_MEM_TRAP_H
#define HW_CXL_CACHE_MEM_TRAP_H

/* The host's pages must be of this size for the trap to work. */
#define CACHE_MEM_PAGE_SHIFT    12
#define CACHE_MEM_PAGE_SIZE     (1ULL << CACHE_MEM_PAGE_SHIFT)

/* How long cache_mem_trap_wait() looks before it sleeps */
#define CACHE_MEM_POLL_MIN_NS   10000
#define CACHE_MEM_POLL_MAX_NS   80000

typedef struct CacheMemTrap CacheMemTrap;

/**
 * cache_mem_trap_poll_ns: how long to look for the next touch before sleeping
 * @before: how long it was for the last one, ns
 * @waited: how long that one took to come, ns
 *
 * To be woken takes longer than all else there is to a touch, and who walks
 * through pages is back as soon as it has been woken itself. So looking pays
 * while touches follow each other, and is left at once when one does not: the
 * rule that KVM has for vCPUs that halt. Who is not touched costs nothing.
 *
 * Returns: 0, or CACHE_MEM_POLL_MIN_NS to CACHE_MEM_POLL_MAX_NS
 */
static inline int64_t cache_mem_trap_poll_ns(int64_t before, int64_t waited)
{
    if (waited > CACHE_MEM_POLL_MAX_NS) {
        return 0;
    }
    return MIN(MAX(before * 2, CACHE_MEM_POLL_MIN_NS), CACHE_MEM_POLL_MAX_NS);
}

/**
 * CacheMemTouch: somebody sleeps
 * @host: the page, in the guest's mapping
 * @write: it is to be written
 * @protected: it is there, but write-protected; else it is zapped
 */
typedef struct CacheMemTouch {
    uint8_t *host;
    bool write;
    bool protected;
} CacheMemTouch;

/**
 * cache_mem_trap_new: open userfaultfd
 * @errp: set to why this host does not have it, or not for this process
 *
 * What needs a privilege is done here; nothing else of the trap does.
 *
 * Returns: the trap, NULL on error
 */
CacheMemTrap *cache_mem_trap_new(Error **errp);

/* No thread may be in cache_mem_trap_wait(). NULL is ignored. */
void cache_mem_trap_free(CacheMemTrap *trap);

/* Whether pages can be write-protected (Linux 5.19) */
bool cache_mem_trap_can_protect(const CacheMemTrap *trap);

/**
 * cache_mem_trap_watch: from now on zapped pages of this memory are reported
 *
 * Returns: false with @errp set if userfaultfd cannot watch it
 */
bool cache_mem_trap_watch(CacheMemTrap *trap, uint8_t *host, uint64_t size,
                          Error **errp);

/* Zapped pages are no more reported, and who sleeps there goes on. */
void cache_mem_trap_unwatch(CacheMemTrap *trap, uint8_t *host, uint64_t size);

/* How many at a time */
#define CACHE_MEM_ZAP_MAX   64

/* CacheMemZap: pages to be taken from the guest's mapping, and their alias */
typedef struct CacheMemZap {
    uint8_t *host;
    uint8_t *alias;
    uint64_t size;
} CacheMemZap;

/**
 * cache_mem_trap_zap: take pages out of the guest's mapping
 *
 * Synchronous: when this returns no store to them is still on its way.
 *
 * Returns: 0, or -errno with nothing changed
 */
int cache_mem_trap_zap(const CacheMemZap *zap);

/**
 * cache_mem_trap_zap_all: likewise, several with one system call and, since
 * Linux 6.16, one interrupt of the other processors
 * @n: up to CACHE_MEM_ZAP_MAX
 *
 * Returns: false if some of them are still to be zapped one by one: there are
 * not several, this kernel cannot (before Linux 6.13), or it met an error
 */
bool cache_mem_trap_zap_all(CacheMemTrap *trap, const CacheMemZap *zap,
                            unsigned n);

/**
 * cache_mem_trap_map: give zapped pages back, and wake who sleeps there
 * @protect: writes are still to be reported
 *
 * Returns: 0; -EINVAL for @protect where this kernel cannot (before Linux 6.4);
 * or -errno. Then who sleeps still sleeps.
 */
int cache_mem_trap_map(CacheMemTrap *trap, uint8_t *host, uint8_t *alias,
                       uint64_t size, bool protect);

/* Let write-protected pages be written. Returns 0, or -errno as above */
int cache_mem_trap_unprotect(CacheMemTrap *trap, uint8_t *host, uint64_t size);

/**
 * cache_mem_trap_wait_ms: wait until somebody touches a page, or that long
 * @touch: room for @max of them
 *
 * Returns: how many, 0 after cache_mem_trap_stop(), -EAGAIN when time is up
 */
int cache_mem_trap_wait_ms(CacheMemTrap *trap, CacheMemTouch *touch, int max,
                           int ms);

/**
 * cache_mem_trap_wait: wait until somebody touches a page
 * @touch: room for @max of them
 *
 * Returns: how many, 0 after cache_mem_trap_stop()
 */
int cache_mem_trap_wait(CacheMemTrap *trap, CacheMemTouch *touch, int max);
void cache_mem_trap_stop(CacheMemTrap *trap);

#endif /* HW_CXL_CACHE_MEM_TRAP_H */
