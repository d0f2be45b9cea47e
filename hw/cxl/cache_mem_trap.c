/*
 * CacheMemRegion: guest RAM and the trap on it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Of each page the trap knows for which lines the guest may do nothing (a
 * device owns them) and which it may only read (devices share them). While
 * there is one of the first kind, the page is not in the guest's mapping;
 * while there are some of the second kind alone, it is not there or it is
 * write-protected.
 *
 * In minor mode userfaultfd is silent about pages that the file does not have.
 * So a page is touched through the alias before it is zapped, and nobody may
 * discard guest RAM while the trap is used.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/userfaultfd.h"
#include "system/memory.h"
#include "system/address-spaces.h"
#include "system/physmem.h"
#include "system/ramblock.h"
#include "system/ramlist.h"
#include "hw/core/qdev.h"
#include "hw/virtio/vhost.h"
#include "cache_mem_trap.h"
#include "trace.h"

#ifdef CONFIG_LINUX
#include <poll.h>
#include <sys/ioctl.h>
#endif

#define PAGE_SHIFT  12
#define PAGE_SIZE   (1ULL << PAGE_SHIFT)
#define LINE_SHIFT  6
#define PAGE_LINES  (PAGE_SIZE >> LINE_SHIFT)

QEMU_BUILD_BUG_ON(PAGE_LINES != 64);

/**
 * TrapPage: a page of guest RAM
 * @none: lines that a device may own, a bit for each
 * @ro: lines that devices may share
 * @addr: where the devices know the page, if any of these bits is set
 * @zapped: it is not in the guest's mapping
 */
typedef struct TrapPage {
    uint64_t none;
    uint64_t ro;
    uint64_t addr:63;
    uint64_t zapped:1;
} TrapPage;

/**
 * TrapBlock: a RAM block that has an alias
 * @page: by number of the page; costs memory only where it is used
 * @active: registered with userfaultfd
 * @unfit: that was tried in vain
 */
typedef struct TrapBlock {
    uint8_t *host;
    uint8_t *alias;
    uint64_t size;
    TrapPage *page;
    bool active;
    bool unfit;
    QLIST_ENTRY(TrapBlock) next;
} TrapBlock;

/**
 * TrapSection: a range of system memory that is RAM
 * @mem: its bytes: the alias, or the guest's mapping where there is none
 * @block: NULL where lines cannot be kept
 * @page: number in @block of the first page
 */
typedef struct TrapSection {
    uint64_t start;
    uint64_t end;
    uint8_t *mem;
    TrapBlock *block;
    uint64_t page;
    ram_addr_t ram_addr;
    MemoryRegion *mr;
    bool readonly;
} TrapSection;

struct CacheMemTrap {
    QemuMutex *lock;
    const CacheMemTrapOps *ops;
    void *opaque;

    QLIST_HEAD(, TrapBlock) blocks;
    RAMBlockNotifier notifier;

    /* By address; what the listener collects becomes valid at commit */
    GArray *sections;
    GArray *coming;
    unsigned last;
    MemoryListener listener;
    DeviceListener devices;

    int uffd;
    EventNotifier stop;
    QemuThread thread;
    bool running;
    bool can_share;
    bool no_snoop;
    const char *obstacle;
    const char *unshared;
    CacheMemTrapStats stats;
};

/* Sections of system memory */

static TrapSection *find_section(CacheMemTrap *trap, uint64_t addr)
{
    GArray *a = trap->sections;
    unsigned low = 0, high = a->len;

    if (trap->last < a->len) {
        TrapSection *s = &g_array_index(a, TrapSection, trap->last);

        if (addr >= s->start && addr < s->end) {
            return s;
        }
    }
    while (low < high) {
        unsigned mid = (low + high) / 2;
        TrapSection *s = &g_array_index(a, TrapSection, mid);

        if (addr < s->start) {
            high = mid;
        } else if (addr >= s->end) {
            low = mid + 1;
        } else {
            trap->last = mid;
            return s;
        }
    }
    return NULL;
}

static TrapPage *section_page(const TrapSection *s, uint64_t addr)
{
    return &s->block->page[s->page +
                           ((addr - s->start) >> PAGE_SHIFT)];
}

static bool page_held(const TrapPage *p)
{
    return p->none || p->ro;
}

/* Have the devices give up lines of a page */
static void snoop_lines(CacheMemTrap *trap, const TrapPage *p, uint64_t lines,
                        CXLCacheHostOp op)
{
    uint64_t first = p->addr >> LINE_SHIFT;

    trap->ops->begin(trap->opaque);
    for (; lines; lines &= lines - 1) {
        trap->ops->snoop(trap->opaque, first + ctz64(lines), op);
    }
    trap->ops->settle(trap->opaque);
}

static void recall_page(CacheMemTrap *trap, TrapPage *p)
{
    if (page_held(p)) {
        snoop_lines(trap, p, p->none | p->ro, CXL_CACHE_HOST_FLUSH);
    }
}

static void recall_block(CacheMemTrap *trap, TrapBlock *block)
{
    for (uint64_t i = 0; i < block->size >> PAGE_SHIFT; i++) {
        if (!trap->stats.pages) {
            return;
        }
        recall_page(trap, &block->page[i]);
    }
}

/* Say it once. */
static void note(const char **where, const char *why)
{
    if (!*where) {
        *where = why;
        warn_report("CXL.cache: devices use lines of guest memory once and "
                    "keep none: %s", why);
    }
}

/* From now on no line is kept; what is held stays until it is asked for. */
static void refuse(CacheMemTrap *trap, const char *why)
{
    note(&trap->obstacle, why);
}

/* userfaultfd */

#ifdef CONFIG_LINUX

static TrapBlock *find_block(CacheMemTrap *trap, const uint8_t *host)
{
    TrapBlock *block;

    QLIST_FOREACH(block, &trap->blocks, next) {
        if (host >= block->host && host < block->host + block->size) {
            return block;
        }
    }
    return NULL;
}

/* Through the alias, so that the file has the page */
static void populate(const TrapBlock *block, uint64_t page)
{
    (void)qatomic_read(block->alias + (page << PAGE_SHIFT));
}

/*
 * Let the guest have @n pages that are not in its mapping. Returns false if
 * they cannot be write-protected as asked for.
 */
static bool map_pages(CacheMemTrap *trap, TrapBlock *block, uint64_t page,
                      uint64_t n, bool protect)
{
    struct uffdio_continue arg;
    uint64_t start = (uintptr_t)block->host + (page << PAGE_SHIFT);
    uint64_t done = 0;

    while (done < n << PAGE_SHIFT) {
        arg = (struct uffdio_continue) {
            .range.start = start + done,
            .range.len = (n << PAGE_SHIFT) - done,
            .mode = protect ? UFFDIO_CONTINUE_MODE_WP : 0,
        };
        if (!ioctl(trap->uffd, UFFDIO_CONTINUE, &arg)) {
            break;
        }
        done += MAX(arg.mapped, 0);
        switch (errno) {
        case EAGAIN:
            break;
        case EEXIST:
            /* Somebody else's fault has mapped it. */
            uffd_wakeup(trap->uffd, (void *)(uintptr_t)(start + done),
                        PAGE_SIZE);
            done += PAGE_SIZE;
            break;
        case EFAULT:
            populate(block, page + (done >> PAGE_SHIFT));
            break;
        case EINVAL:
            if (protect) {
                return false;
            }
            /* fall through */
        default:
            error_report_once("CXL.cache: UFFDIO_CONTINUE: %s",
                              strerror(errno));
            return true;
        }
    }
    for (uint64_t i = page; i < page + n; i++) {
        block->page[i].zapped = false;
    }
    return true;
}

static void zap(CacheMemTrap *trap, TrapBlock *block, uint64_t page, uint64_t n)
{
    for (uint64_t i = page; i < page + n; i++) {
        populate(block, i);
    }
    if (madvise(block->host + (page << PAGE_SHIFT), n << PAGE_SHIFT,
                MADV_DONTNEED)) {
        refuse(trap, "it is locked (overcommit mem-lock=on)");
        return;
    }
    for (uint64_t i = page; i < page + n; i++) {
        block->page[i].zapped = true;
    }
    trap->stats.zaps += n;
    trace_cxl_cache_zap(page << PAGE_SHIFT, n << PAGE_SHIFT);
}

/* The devices' lines that stand in the way of an access come home. */
static void clear_way(CacheMemTrap *trap, TrapPage *p, bool write)
{
    uint64_t lines = write ? p->none | p->ro : p->none;

    trace_cxl_cache_fault(p->addr, write ? "write" : "read",
                          ctpop64(lines));
    if (!page_held(p)) {
        trap->stats.other++;
        return;
    }
    if (write) {
        trap->stats.writes++;
    } else {
        trap->stats.reads++;
    }
    if (trap->no_snoop) {
        return;
    }
    snoop_lines(trap, p, lines,
                write ? CXL_CACHE_HOST_WRITE : trap->can_share ?
                CXL_CACHE_HOST_READ : CXL_CACHE_HOST_FLUSH);
}

static void handle_fault(CacheMemTrap *trap, uint64_t addr, uint64_t flags)
{
    uint8_t *host = (uint8_t *)(uintptr_t)QEMU_ALIGN_DOWN(addr, PAGE_SIZE);
    bool write = flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
    TrapBlock *block = find_block(trap, host);
    TrapPage *p;
    uint64_t page;

    if (!block) {
        return;
    }
    page = (host - block->host) >> PAGE_SHIFT;
    p = &block->page[page];
    clear_way(trap, p, write);
    if (flags & UFFD_PAGEFAULT_FLAG_WP) {
        uffd_change_protection(trap->uffd, host, PAGE_SIZE, false, false);
    } else if (!map_pages(trap, block, page, 1, p->ro)) {
        /* This kernel cannot: from now on lines are not shared. */
        trap->can_share = false;
        recall_page(trap, p);
        map_pages(trap, block, page, 1, false);
    }
}

static void *trap_thread(void *opaque)
{
    CacheMemTrap *trap = opaque;
    struct pollfd fds[] = {
        { .fd = trap->uffd, .events = POLLIN },
        { .fd = event_notifier_get_fd(&trap->stop), .events = POLLIN },
    };
    struct uffd_msg msgs[16];

    rcu_register_thread();
    while (RETRY_ON_EINTR(poll(fds, ARRAY_SIZE(fds), -1)) >= 0 &&
           !fds[1].revents) {
        int n = uffd_read_events(trap->uffd, msgs, ARRAY_SIZE(msgs));

        for (int i = 0; i < n; i++) {
            if (msgs[i].event == UFFD_EVENT_PAGEFAULT) {
                QEMU_LOCK_GUARD(trap->lock);
                handle_fault(trap, msgs[i].arg.pagefault.address,
                             msgs[i].arg.pagefault.flags);
            }
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* Returns: NULL, or why not */
static const char *start_trap(CacheMemTrap *trap)
{
    const uint64_t wp = UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                        UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
    uint64_t features = 0;

    if (uffd_query_features(&features)) {
        return "userfaultfd is not permitted";
    }
    if (!(features & UFFD_FEATURE_MINOR_SHMEM)) {
        return "userfaultfd has no minor mode for shared memory (Linux 5.14)";
    }
    trap->can_share = (features & wp) == wp;
    trap->uffd = uffd_create_fd(UFFD_FEATURE_MINOR_SHMEM |
                                (trap->can_share ? wp : 0), true);
    if (trap->uffd < 0) {
        return "userfaultfd is not permitted";
    }
    if (event_notifier_init(&trap->stop, 0) < 0) {
        uffd_close_fd(trap->uffd);
        return "there is no eventfd";
    }
    if (ram_block_discard_disable(true)) {
        event_notifier_cleanup(&trap->stop);
        uffd_close_fd(trap->uffd);
        return "another device discards memory";
    }
    qemu_thread_create(&trap->thread, "cxl-cache", trap_thread, trap,
                       QEMU_THREAD_JOINABLE);
    trap->running = true;
    return NULL;
}

static void stop_trap(CacheMemTrap *trap)
{
    if (trap->running) {
        event_notifier_set(&trap->stop);
        qemu_thread_join(&trap->thread);
        event_notifier_cleanup(&trap->stop);
        uffd_close_fd(trap->uffd);
        ram_block_discard_disable(false);
    }
}

static const char *register_block(CacheMemTrap *trap, TrapBlock *block)
{
    uint64_t mode = UFFDIO_REGISTER_MODE_MINOR;
    uint64_t ioctls = 0;

    if (trap->can_share) {
        mode |= UFFDIO_REGISTER_MODE_WP;
    }
    if (uffd_register_memory(trap->uffd, block->host, block->size, mode,
                             &ioctls) ||
        !(ioctls & BIT(_UFFDIO_CONTINUE))) {
        return "userfaultfd cannot watch it";
    }
    return NULL;
}

static void unregister_block(CacheMemTrap *trap, TrapBlock *block)
{
    if (block->active) {
        uffd_unregister_memory(trap->uffd, block->host, block->size);
    }
}

#else /* !CONFIG_LINUX */

static bool map_pages(CacheMemTrap *trap, TrapBlock *block, uint64_t page,
                      uint64_t n, bool protect)
{
    g_assert_not_reached();
}

static void zap(CacheMemTrap *trap, TrapBlock *block, uint64_t page, uint64_t n)
{
    g_assert_not_reached();
}

static const char *start_trap(CacheMemTrap *trap)
{
    return "this host has no userfaultfd";
}

static void stop_trap(CacheMemTrap *trap)
{
}

static const char *register_block(CacheMemTrap *trap, TrapBlock *block)
{
    g_assert_not_reached();
}

static void unregister_block(CacheMemTrap *trap, TrapBlock *block)
{
}

#endif /* CONFIG_LINUX */

/* Whether lines of the block can be kept; starts what is needed for it */
static bool activate(CacheMemTrap *trap, TrapBlock *block)
{
    const char *why;

    if (!block || block->unfit || trap->obstacle) {
        return false;
    }
    if (block->active) {
        return true;
    }
    why = trap->running ? NULL : start_trap(trap);
    if (why) {
        refuse(trap, why);
        return false;
    }
    why = register_block(trap, block);
    if (why) {
        note(&trap->unshared, why);
        block->unfit = true;
        return false;
    }
    block->active = true;
    return true;
}

/* What the home asks of memory */

unsigned cache_mem_trap_decode(CacheMemTrap *trap, uint64_t line)
{
    TrapSection *s = find_section(trap, line << LINE_SHIFT);

    if (!s) {
        return 0;
    }
    if (s->readonly) {
        return CXL_CACHE_MEM_READ;
    }
    return CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
           (activate(trap, s->block) ? CXL_CACHE_MEM_CACHEABLE : 0);
}

uint8_t *cache_mem_trap_line(CacheMemTrap *trap, uint64_t line)
{
    uint64_t addr = line << LINE_SHIFT;
    TrapSection *s = find_section(trap, addr);

    return s ? s->mem + (addr - s->start) : NULL;
}

void cache_mem_trap_dirty(CacheMemTrap *trap, uint64_t line)
{
    uint64_t addr = line << LINE_SHIFT;
    TrapSection *s = find_section(trap, addr);
    uint8_t mask;

    if (!s) {
        return;
    }
    /* Translated code is the writer's business, see cache_mem_write(). */
    mask = memory_region_get_dirty_log_mask(s->mr) & ~BIT(DIRTY_MEMORY_CODE);
    if (mask) {
        RCU_READ_LOCK_GUARD();
        physical_memory_set_dirty_range(s->ram_addr + (addr - s->start),
                                        CXL_CACHE_LINE_SIZE, mask);
    }
}

static CXLCacheHostAccess page_access(const TrapPage *p, uint64_t bit)
{
    return p->none & bit ? CXL_CACHE_HOST_NONE :
           p->ro & bit ? CXL_CACHE_HOST_RO : CXL_CACHE_HOST_RW;
}

/* Take a page out of the guest's mapping for a device that will have lines */
static bool restrict_page(CacheMemTrap *trap, const TrapSection *s,
                          TrapPage *p, uint64_t addr)
{
    addr = QEMU_ALIGN_DOWN(addr, PAGE_SIZE);
    if (trap->obstacle || (page_held(p) && p->addr != addr)) {
        return false;
    }
    p->addr = addr;
    if (!p->zapped) {
        zap(trap, s->block, p - s->block->page, 1);
    }
    return p->zapped;
}

bool cache_mem_trap_access(CacheMemTrap *trap, uint64_t line,
                           CXLCacheHostAccess access)
{
    uint64_t addr = line << LINE_SHIFT;
    uint64_t bit = BIT_ULL(line % PAGE_LINES);
    TrapSection *s = find_section(trap, addr);
    bool held;
    TrapPage *p;

    if (!s || !s->block || !s->block->active) {
        return access == CXL_CACHE_HOST_RW;
    }
    p = section_page(s, addr);
    held = page_held(p);
    if (access < page_access(p, bit) && !restrict_page(trap, s, p, addr)) {
        return false;
    }
    p->none &= ~bit;
    p->ro &= ~bit;
    if (access == CXL_CACHE_HOST_NONE) {
        p->none |= bit;
    } else if (access == CXL_CACHE_HOST_RO) {
        p->ro |= bit;
    }
    trap->stats.pages += page_held(p) - held;
    return true;
}

void cache_mem_trap_prepare(CacheMemTrap *trap, hwaddr addr, size_t len,
                            bool arm)
{
    uint64_t end = ROUND_UP(addr + len, PAGE_SIZE);
    TrapBlock *block = NULL;
    uint64_t from = 0, n = 0;

    for (addr = QEMU_ALIGN_DOWN(addr, PAGE_SIZE); addr < end;
         addr += PAGE_SIZE) {
        TrapSection *s = find_section(trap, addr);
        TrapPage *p;

        if (arm && s && !s->block && !s->readonly && !trap->obstacle) {
            note(&trap->unshared, "it is not shared memory that can be mapped "
                 "twice (memory-backend-memfd,share=on)");
        }
        if (!s || !activate(trap, s->block)) {
            continue;
        }
        p = section_page(s, addr);
        if (page_held(p) && p->addr != addr) {
            recall_page(trap, p);
        }
        if (!arm || p->zapped) {
            continue;
        }
        if (n && (block != s->block || p != &block->page[from + n])) {
            zap(trap, block, from, n);
            n = 0;
        }
        block = s->block;
        from = n++ ? from : p - block->page;
    }
    if (n) {
        zap(trap, block, from, n);
    }
}

void cache_mem_trap_unarm(CacheMemTrap *trap, hwaddr addr, size_t len)
{
    uint64_t end = ROUND_UP(addr + len, PAGE_SIZE);

    trace_cxl_cache_unarm(addr, len);
    for (addr = QEMU_ALIGN_DOWN(addr, PAGE_SIZE); addr < end;
         addr += PAGE_SIZE) {
        TrapSection *s = find_section(trap, addr);
        TrapPage *p;
        uint64_t n = 0;

        if (!s || !s->block || !s->block->active) {
            continue;
        }
        p = section_page(s, addr);
        while (addr + (n << PAGE_SHIFT) < MIN(end, s->end) && p[n].zapped &&
               !page_held(&p[n])) {
            n++;
        }
        if (n) {
            map_pages(trap, s->block, p - s->block->page, n, false);
            addr += (n - 1) << PAGE_SHIFT;
        }
    }
}

const CacheMemTrapStats *cache_mem_trap_stats(const CacheMemTrap *trap)
{
    return &trap->stats;
}

const char *cache_mem_trap_obstacle(const CacheMemTrap *trap)
{
    return trap->obstacle ?: trap->unshared;
}

bool cache_mem_trap_can_share(const CacheMemTrap *trap)
{
    return trap->can_share;
}

void cache_mem_trap_set_no_snoop(CacheMemTrap *trap, bool no_snoop)
{
    trap->no_snoop = no_snoop;
}

bool cache_mem_trap_no_snoop(const CacheMemTrap *trap)
{
    return trap->no_snoop;
}

/* Blocks that come and go */

static bool can_alias(RAMBlock *rb, const void *host, uint64_t size)
{
    return rb && qemu_ram_is_shared(rb) && qemu_ram_get_fd(rb) >= 0 &&
           qemu_ram_pagesize(rb) == PAGE_SIZE &&
           qemu_real_host_page_size() == PAGE_SIZE &&
           QEMU_PTR_IS_ALIGNED(host, PAGE_SIZE) && size % PAGE_SIZE == 0;
}

static void block_added(RAMBlockNotifier *n, void *host, size_t size,
                        size_t max_size)
{
    CacheMemTrap *trap = container_of(n, CacheMemTrap, notifier);
    ram_addr_t offset;
    RAMBlock *rb = qemu_ram_block_from_host(host, false, &offset);
    TrapBlock *block;
    void *alias, *page;

    if (!can_alias(rb, host, max_size)) {
        return;
    }
    alias = mmap(NULL, max_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                 qemu_ram_get_fd(rb), qemu_ram_get_fd_offset(rb));
    if (alias == MAP_FAILED) {
        return;
    }
    /* Not g_malloc0(): most of it will never be looked at */
    page = mmap(NULL, (max_size >> PAGE_SHIFT) * sizeof(TrapPage),
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (page == MAP_FAILED) {
        munmap(alias, max_size);
        return;
    }
    block = g_new0(TrapBlock, 1);
    block->host = host;
    block->alias = alias;
    block->size = max_size;
    block->page = page;
    QEMU_LOCK_GUARD(trap->lock);
    QLIST_INSERT_HEAD(&trap->blocks, block, next);
}

static void block_removed(RAMBlockNotifier *n, void *host, size_t size,
                          size_t max_size)
{
    CacheMemTrap *trap = container_of(n, CacheMemTrap, notifier);
    TrapBlock *block, *next;

    QEMU_LOCK_GUARD(trap->lock);
    QLIST_FOREACH_SAFE(block, &trap->blocks, next, next) {
        if (block->host == host) {
            recall_block(trap, block);
            unregister_block(trap, block);
            for (unsigned i = 0; i < trap->sections->len; i++) {
                TrapSection *s = &g_array_index(trap->sections, TrapSection, i);

                if (s->block == block) {
                    s->mem = block->host + (s->mem - block->alias);
                    s->block = NULL;
                }
            }
            QLIST_REMOVE(block, next);
            munmap(block->alias, block->size);
            munmap(block->page,
                   (block->size >> PAGE_SHIFT) * sizeof(TrapPage));
            g_free(block);
        }
    }
}

/* System memory that changes */

static bool is_ram(const MemoryRegionSection *section)
{
    return memory_region_is_ram(section->mr) &&
           !memory_region_is_ram_device(section->mr) &&
           !memory_region_is_protected(section->mr);
}

static void listener_begin(MemoryListener *listener)
{
    CacheMemTrap *trap = container_of(listener, CacheMemTrap, listener);

    g_array_set_size(trap->coming, 0);
}

static void listener_region(MemoryListener *listener,
                            MemoryRegionSection *section)
{
    CacheMemTrap *trap = container_of(listener, CacheMemTrap, listener);
    uint64_t offset = section->offset_within_region;
    TrapSection s = {
        .start = section->offset_within_address_space,
        .end = section->offset_within_address_space +
               int128_get64(section->size),
        .mr = section->mr,
        .readonly = section->readonly || section->mr->readonly,
    };
    TrapBlock *block;

    if (!is_ram(section) ||
        !QEMU_IS_ALIGNED(s.start | s.end, CXL_CACHE_LINE_SIZE)) {
        return;
    }
    s.mem = (uint8_t *)memory_region_get_ram_ptr(s.mr) + offset;
    s.ram_addr = memory_region_get_ram_addr(s.mr) + offset;
    QLIST_FOREACH(block, &trap->blocks, next) {
        if (s.mem >= block->host && s.mem < block->host + block->size) {
            uint64_t at = s.mem - block->host;

            s.mem = block->alias + at;
            if (QEMU_IS_ALIGNED(at | s.start | s.end, PAGE_SIZE)) {
                s.block = block;
                s.page = at >> PAGE_SHIFT;
            }
            break;
        }
    }
    memory_region_ref(s.mr);
    g_array_append_val(trap->coming, s);
}

/* Before a range goes, its lines come home. */
static void listener_del(MemoryListener *listener, MemoryRegionSection *section)
{
    CacheMemTrap *trap = container_of(listener, CacheMemTrap, listener);
    uint64_t addr = section->offset_within_address_space;
    uint64_t end = addr + int128_get64(section->size);

    QEMU_LOCK_GUARD(trap->lock);
    for (; addr < end && trap->stats.pages; addr += PAGE_SIZE) {
        TrapSection *s = find_section(trap, addr);

        if (!s) {
            break;
        }
        if (s->block && section_page(s, addr)->addr == addr) {
            recall_page(trap, section_page(s, addr));
        }
    }
}

static void unref_sections(GArray *sections)
{
    for (unsigned i = 0; i < sections->len; i++) {
        memory_region_unref(g_array_index(sections, TrapSection, i).mr);
    }
    g_array_set_size(sections, 0);
}

static void listener_commit(MemoryListener *listener)
{
    CacheMemTrap *trap = container_of(listener, CacheMemTrap, listener);
    GArray *old = trap->sections;

    WITH_QEMU_LOCK_GUARD(trap->lock) {
        trap->sections = trap->coming;
        trap->last = 0;
    }
    trap->coming = old;
    unref_sections(old);
}

/* Users of guest memory that go past this process's page tables */

static const char *const past_the_trap[] = {
    "vfio-", "vhost-user-", "vhost-vdpa-", "ivshmem-",
};

static bool device_bypasses(Object *obj)
{
    const char *type = object_get_typename(obj);

    for (int i = 0; i < ARRAY_SIZE(past_the_trap); i++) {
        if (g_str_has_prefix(type, past_the_trap[i])) {
            return true;
        }
    }
    /* Network back ends have no device type of their own. */
    return vhost_get_max_memslots() != UINT_MAX;
}

static void device_realized(DeviceListener *listener, DeviceState *dev)
{
    CacheMemTrap *trap = container_of(listener, CacheMemTrap, devices);

    TrapBlock *block;

    if (!trap->obstacle && device_bypasses(OBJECT(dev))) {
        QEMU_LOCK_GUARD(trap->lock);
        refuse(trap, "a vfio, vhost or ivshmem device uses it too");
        QLIST_FOREACH(block, &trap->blocks, next) {
            recall_block(trap, block);
        }
    }
}

static int check_device(Object *obj, void *opaque)
{
    CacheMemTrap *trap = opaque;

    if (object_dynamic_cast(obj, TYPE_DEVICE) && DEVICE(obj)->realized) {
        device_realized(&trap->devices, DEVICE(obj));
    }
    return 0;
}

CacheMemTrap *cache_mem_trap_new(QemuMutex *lock, const CacheMemTrapOps *ops,
                                 void *opaque)
{
    CacheMemTrap *trap = g_new0(CacheMemTrap, 1);

    trap->lock = lock;
    trap->ops = ops;
    trap->opaque = opaque;
    trap->sections = g_array_new(false, false, sizeof(TrapSection));
    trap->coming = g_array_new(false, false, sizeof(TrapSection));
    trap->notifier.ram_block_added = block_added;
    trap->notifier.ram_block_removed = block_removed;
    ram_block_notifier_add(&trap->notifier);
    trap->listener = (MemoryListener) {
        .name = "cxl-cache",
        .begin = listener_begin,
        .region_add = listener_region,
        .region_nop = listener_region,
        .region_del = listener_del,
        .commit = listener_commit,
    };
    memory_listener_register(&trap->listener, &address_space_memory);
    trap->devices.realize = device_realized;
    device_listener_register(&trap->devices);
    object_child_foreach_recursive(object_get_root(), check_device, trap);
    return trap;
}

void cache_mem_trap_free(CacheMemTrap *trap)
{
    device_listener_unregister(&trap->devices);
    memory_listener_unregister(&trap->listener);
    ram_block_notifier_remove(&trap->notifier);
    stop_trap(trap);
    unref_sections(trap->sections);
    unref_sections(trap->coming);
    g_array_free(trap->sections, true);
    g_array_free(trap->coming, true);
    g_free(trap);
}
