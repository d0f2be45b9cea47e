/*
 * CXL.cache: how fast is it, and how big
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One thread, one home, and one device but where said otherwise. What is
 * counted: a RdOwn that has completed (request, snoop filter, memory read, GO,
 * data) is a transaction, and so is a host access that has completed (SnpInv,
 * RspIFwdM, data, memory write). The stores to the owned lines in between, one
 * a line, are not. Seven of eight host accesses are flushes, the eighth is a
 * store of 8 bytes.
 *
 * Of the lines that the device holds modified all the time, BATCH are taken by
 * the host, then owned and modified anew, then the next ones: page after page
 * as an accelerator walks them, or in random order. Cache and snoop filter have
 * the same size for every number of lines.
 *
 * Several devices have the same number of lines in all, a range each; they ask
 * for a batch one after the other, or each for some lines of every batch. The
 * host's work is the same, and what is more is to look at every device's
 * channels, and their memory. One of several, the others silent, is measured,
 * too.
 *
 * A page is what a request makes of 4 KiB: all of its lines are read (RdCurr),
 * owned (RdOwnNoData), written, and taken by the host (SnpInv, RspIFwdM, data);
 * by the fast gear and by messages in turns.
 *
 * Time is the processor time of the thread; medians of ROUNDS rounds count.
 * Each line of output is an object in the form of build/bench/results.json,
 * where a ratio above 1 is better than "peer": what is asked for, or, for the
 * cost of a transaction, its cost at 1 k lines. CXL_CACHE_BENCH_MS sets the
 * time of a round, CXL_CACHE_BENCH_DEVICES asks for several devices alone.
 */

#include "qemu/osdep.h"
#include <time.h>
#include "hw/cxl/cache/internal.h"
#include "hw/cxl/cxl_cache_gear.h"

#define ROUNDS      9
#define BATCH       32
#define PAGE_LINES  64
#define BASE        (0x100000000ULL >> CXL_CACHE_LINE_SHIFT)
#define MAX_LINES   (1 << 20)

/* @range: log2 of the lines that each device has */
typedef struct Bench {
    CXLCacheHome *home;
    CXLCacheLink *link[CXL_CACHE_DEV_MAX];
    CXLCacheDev *devs[CXL_CACHE_DEV_MAX];
    unsigned num_devs;
    unsigned range;
    CXLCacheDev *dev;           /* the first */
    CXLCacheLineData *ram;
    uint32_t *order;            /* of the lines, for the walk */
    uint64_t held;              /* lines of the page at hand */
    uint64_t done;              /* RdOwn */
    uint64_t host_done;
} Bench;

static unsigned bench_decode(void *opaque, uint64_t line)
{
    return CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE | CXL_CACHE_MEM_CACHEABLE;
}

static bool bench_read(void *opaque, uint64_t line, CXLCacheLineData *data,
                       bool *poison)
{
    Bench *b = opaque;

    *data = b->ram[line - BASE];
    return true;
}

static bool bench_write(void *opaque, uint64_t line,
                        const CXLCacheLineData *data, uint64_t be, bool poison,
                        CXLCacheWriteWhy why)
{
    Bench *b = opaque;
    unsigned i;

    if (be == CXL_CACHE_BE_ALL) {
        b->ram[line - BASE] = *data;
    } else {
        for (i = 0; i < CXL_CACHE_LINE_SIZE; i++) {
            if (be >> i & 1) {
                b->ram[line - BASE].b[i] = data->b[i];
            }
        }
    }
    return true;
}

static bool bench_access(void *opaque, uint64_t line,
                         CXLCacheHostAccess access)
{
    return true;
}

static void bench_host_done(void *opaque, const CXLCacheHostDone *done)
{
    Bench *b = opaque;

    g_assert(!done->failed);
    b->host_done++;
}

static void bench_home_error(void *opaque, unsigned dev, CXLCacheError err,
                             CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    g_assert_not_reached();
}

static void bench_done(void *opaque, const CXLCacheDone *done)
{
    Bench *b = opaque;

    b->done += done->opcode == CXL_CACHE_RD_OWN && !done->failed;
}

static void bench_dev_error(void *opaque, CXLCacheError err,
                            CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    g_assert_not_reached();
}

static bool bench_page(void *opaque, CXLCachePage *page)
{
    Bench *b = opaque;

    page->mem = &b->ram[page->line - BASE];
    page->flags = bench_decode(opaque, page->line);
    page->held = b->held;
    return true;
}

static bool bench_page_access(void *opaque, const CXLCachePage *page,
                              uint64_t lines, CXLCacheHostAccess access)
{
    Bench *b = opaque;

    b->held = access == CXL_CACHE_HOST_RW ? b->held & ~lines : b->held | lines;
    return true;
}

static void bench_page_written(void *opaque, const CXLCachePage *page,
                               uint64_t lines, CXLCacheWriteWhy why)
{
}

static const CXLCacheHomeOps home_ops = {
    .decode = bench_decode,
    .read_line = bench_read,
    .write_line = bench_write,
    .host_access = bench_access,
    .complete = bench_host_done,
    .error = bench_home_error,
    .page = bench_page,
    .page_access = bench_page_access,
    .page_written = bench_page_written,
};

static const CXLCacheDevOps dev_ops = {
    .complete = bench_done,
    .error = bench_dev_error,
};

static const CXLCacheLinkConfig link_config = {
    .depth = { 64, 64, 64, 64, 64, 64 },
    .flit = CXL_CACHE_FLIT_256B,
};

static CXLCacheHomeConfig home_config(unsigned lines)
{
    return (CXLCacheHomeConfig) {
        .sf_lines = lines, .sf_ways = 16, .transactions = 64,
        .forward_dirty = true,
    };
}

static CXLCacheDevConfig dev_config(unsigned lines)
{
    return (CXLCacheDevConfig) {
        .size = (uint64_t)lines * CXL_CACHE_LINE_SIZE, .ways = 16,
        .requests = 64,
    };
}

static Bench *bench_new(unsigned devs)
{
    CXLCacheHomeConfig home = home_config(2 * MAX_LINES);
    CXLCacheDevConfig dev = dev_config(MAX_LINES);
    Bench *b = g_new0(Bench, 1);

    b->home = cxl_cache_home_new(&home, &home_ops, b);
    g_assert(b->home);
    for (b->num_devs = 0; b->num_devs < devs; b->num_devs++) {
        unsigned n = b->num_devs;

        b->link[n] = cxl_cache_link_new(&link_config);
        b->devs[n] = cxl_cache_dev_new(&dev, b->link[n], &dev_ops, b);
        g_assert(b->link[n] && b->devs[n]);
        g_assert(cxl_cache_home_attach(b->home, b->link[n]) == n);
        cxl_cache_link_set_route(b->link[n], n);
    }
    b->dev = b->devs[0];
    b->range = 31;
    /* Aligned and touched: page faults are not what is measured. */
    b->ram = aligned_alloc(4096, (size_t)MAX_LINES * CXL_CACHE_LINE_SIZE);
    memset(b->ram, 1, (size_t)MAX_LINES * CXL_CACHE_LINE_SIZE);
    b->order = g_new(uint32_t, MAX_LINES);
    return b;
}

static void bench_free(Bench *b)
{
    cxl_cache_home_free(b->home);
    for (unsigned n = 0; n < b->num_devs; n++) {
        cxl_cache_dev_free(b->devs[n]);
        cxl_cache_link_free(b->link[n]);
    }
    free(b->ram);
    g_free(b->order);
    g_free(b);
}

static CXLCacheDev *owner(const Bench *b, uint32_t line)
{
    return b->devs[line >> b->range];
}

static void own(Bench *b, const uint32_t *lines, unsigned n)
{
    CXLCacheLineData data = { { 1, 2, 3 } };
    uint64_t before = b->done;
    unsigned i;

    for (i = 0; i < n; i++) {
        CXLCacheReq req = {
            .line = BASE + lines[i], .opcode = CXL_CACHE_RD_OWN,
        };
        int ret = cxl_cache_dev_request(owner(b, lines[i]), &req);

        g_assert(ret >= 0);
    }
    cxl_cache_run(b->home);
    g_assert(b->done == before + n);
    for (i = 0; i < n; i++) {
        bool ok = cxl_cache_dev_write(owner(b, lines[i]), BASE + lines[i],
                                      &data, 0xff);

        g_assert(ok);
    }
}

static void host(Bench *b, const uint32_t *lines, unsigned n)
{
    CXLCacheLineData data = { { 4, 5, 6 } };
    uint64_t before = b->host_done;
    unsigned i;

    for (i = 0; i < n; i++) {
        CXLCacheHostReq req = {
            .line = BASE + lines[i],
            .op = i % 8 ? CXL_CACHE_HOST_FLUSH : CXL_CACHE_HOST_WRITE,
            .data = &data,
            .be = 0xff00,
        };
        int ret = cxl_cache_home_host(b->home, &req);

        g_assert(ret == 0);
    }
    cxl_cache_run(b->home);
    g_assert(b->host_done == before + n);
}

static void order_lines(Bench *b, unsigned lines, bool random)
{
    uint64_t rng = 88172645463325252ULL;
    unsigned i, k;

    for (i = 0; i < lines; i++) {
        b->order[i] = i;
    }
    for (i = lines - 1; random && i > 0; i--) {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        k = rng % (i + 1);
        uint32_t tmp = b->order[i];

        b->order[i] = b->order[k];
        b->order[k] = tmp;
    }
}

/* The thread's own time: what else the machine does is not ours. */
static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Nanoseconds for a transaction, over about @seconds */
static double walk(Bench *b, unsigned lines, unsigned *at, double seconds)
{
    double start = now(), spent;
    uint64_t n = 0;

    do {
        for (unsigned i = 0; i < PAGE_LINES / BATCH * 16; i++) {
            host(b, &b->order[*at], BATCH);
            own(b, &b->order[*at], BATCH);
            *at = (*at + BATCH) % lines;
            n += 2 * BATCH;
        }
        spent = now() - start;
    } while (spent < seconds);
    g_assert(cxl_cache_home_tracked(b->home) == lines);
    return spent * 1e9 / n;
}

static void page_by_gear(Bench *b, uint64_t line)
{
    static CXLCacheLineData data[PAGE_LINES];

    g_assert(!~cxl_cache_page_read(b->dev, line, PAGE_LINES, data));
    g_assert(!~cxl_cache_page_own(b->dev, line, PAGE_LINES));
    g_assert(!~cxl_cache_page_write(b->dev, line, PAGE_LINES, data));
    g_assert(!~cxl_cache_page_recall(b->home, line, UINT64_MAX,
                                     CXL_CACHE_HOST_FLUSH));
}

static void ask_for_page(Bench *b, uint64_t line, uint8_t opcode)
{
    for (unsigned i = 0; i < PAGE_LINES; i++) {
        CXLCacheReq req = { .line = line + i, .opcode = opcode };
        int ret = cxl_cache_dev_request(b->dev, &req);

        g_assert(ret >= 0);
    }
    cxl_cache_run(b->home);
}

static void page_by_messages(Bench *b, uint64_t line)
{
    static CXLCacheLineData data;

    ask_for_page(b, line, CXL_CACHE_RD_CURR);
    ask_for_page(b, line, CXL_CACHE_RD_OWN_NO_DATA);
    for (unsigned i = 0; i < PAGE_LINES; i++) {
        bool ok = cxl_cache_dev_write(b->dev, line + i, &data,
                                      CXL_CACHE_BE_ALL);

        g_assert(ok);
    }
    for (unsigned i = 0; i < PAGE_LINES; i++) {
        CXLCacheHostReq req = { .line = line + i, .op = CXL_CACHE_HOST_FLUSH };
        int ret = cxl_cache_home_host(b->home, &req);

        g_assert(ret == 0);
    }
    cxl_cache_run(b->home);
    g_assert(cxl_cache_home_tracked(b->home) == 0);
}

/* Microseconds for a page, over about @seconds; pages in the order of memory */
static double walk_pages(Bench *b, void (*one)(Bench *b, uint64_t line),
                         unsigned lines, double seconds)
{
    double start = now(), spent;
    unsigned at = 0;
    uint64_t n = 0;

    do {
        for (unsigned i = 0; i < 64; i++, n++) {
            one(b, BASE + at);
            at = (at + PAGE_LINES) % lines;
        }
        spent = now() - start;
    } while (spent < seconds);
    return spent * 1e6 / n;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof(*v), compare);
    return v[ROUNDS / 2];
}

/*
 * @devs: all that there are; @busy: a power of two of them has the lines, a
 * range each; @group: how many of one range come before those of the next. One
 * device has all ranges, and takes them in the same order.
 */
static Bench *prepared(unsigned lines, bool random, unsigned devs,
                       unsigned busy, unsigned group)
{
    Bench *b = bench_new(devs);
    unsigned i;

    b->range = devs > 1 ? __builtin_ctz(lines / busy) : 31;
    order_lines(b, lines, random);
    for (i = 0; busy > 1 && i < lines; i++) {
        b->order[i] = i / group % busy * (lines / busy) +
                      i / group / busy * group + i % group;
    }
    for (i = 0; i < lines; i += BATCH) {
        own(b, &b->order[i], BATCH);
    }
    return b;
}

static void result(const char *name, double ours, double peer, double ratio,
                   const char *unit, double target)
{
    printf("{\"%s\": {\"ours\": %.2f, \"peer\": %.2f, \"ratio\": %.3f, "
           "\"unit\": \"%s\", \"target\": %.3f}}\n", name, ours, peer, ratio,
           unit, target);
    fflush(stdout);
    fprintf(stderr, "%-44s %9.2f %9.2f %-6s x%.2f (target x%.2f) %s\n", name,
            ours, peer, unit, ratio, target,
            ratio >= target ? "ok" : "BELOW TARGET");
}

/* Both sizes take turns, so that a noisy machine is noisy for both. */
static void bench_speed(bool random, double seconds)
{
    const char *how = random ? "random" : "sequential";
    double small[ROUNDS], large[ROUNDS], s, l;
    Bench *k1 = prepared(1 << 10, random, 1, 1, 1);
    Bench *m1 = prepared(MAX_LINES, random, 1, 1, 1);
    unsigned at_small = 0, at_large = 0, i;
    g_autofree char *cost = NULL;

    walk(k1, 1 << 10, &at_small, seconds / 4);
    walk(m1, MAX_LINES, &at_large, seconds / 4);
    for (i = 0; i < ROUNDS; i++) {
        small[i] = walk(k1, 1 << 10, &at_small, seconds);
        large[i] = walk(m1, MAX_LINES, &at_large, seconds);
    }
    s = median(small);
    l = median(large);
    if (!random) {
        result("CXL.cache line transactions, 1 k lines", 1000 / s, 10,
               100 / s, "M/s", 1);
        result("CXL.cache line transactions, 1 M lines", 1000 / l, 10,
               100 / l, "M/s", 1);
    }
    cost = g_strdup_printf("CXL.cache cost at 1 M lines, %s", how);
    /* Random order is there to be known; nobody walks pages like that. */
    result(cost, l, s, s / l, "ns", random ? 0 : 1 / 1.3);
    bench_free(k1);
    bench_free(m1);
}

static void bench_pages(unsigned lines, const char *name, double seconds)
{
    double gear[ROUNDS], messages[ROUNDS], g, m;
    g_autofree char *time = g_strdup_printf("CXL.cache page, %s", name);
    g_autofree char *ratio = g_strdup_printf("%s, against messages", time);
    Bench *b = bench_new(1);

    walk_pages(b, page_by_gear, lines, seconds / 4);
    for (int i = 0; i < ROUNDS; i++) {
        gear[i] = walk_pages(b, page_by_gear, lines, seconds);
        messages[i] = walk_pages(b, page_by_messages, lines, seconds);
    }
    g = median(gear);
    m = median(messages);
    result(time, g, 6, 6 / g, "us", 1);
    result(ratio, g, m, m / g, "us", 10);
    bench_free(b);
}

/*
 * What another cached line costs: blocks for @lines against blocks for twice as
 * many, the data taken off. The snoop filter has as many entries as the cache.
 */
static void bench_size(void)
{
    unsigned lines = 1 << 14, i;
    size_t size[2];
    double each;

    for (i = 0; i < 2; i++) {
        CXLCacheHomeConfig hc = home_config(lines << i);
        CXLCacheDevConfig dc = dev_config(lines << i);
        CXLCacheLink *link = cxl_cache_link_new(&link_config);
        CXLCacheHome *home = cxl_cache_home_new(&hc, &home_ops, NULL);
        CXLCacheDev *dev = cxl_cache_dev_new(&dc, link, &dev_ops, NULL);

        size[i] = home->size + dev->size + link->size -
                  (size_t)(lines << i) * CXL_CACHE_LINE_SIZE;
        cxl_cache_home_free(home);
        cxl_cache_dev_free(dev);
        cxl_cache_link_free(link);
    }
    each = (double)(size[1] - size[0]) / lines;
    result("CXL.cache metadata of a cached line", each, 16, 16 / each, "bytes",
           1);
    fprintf(stderr, "%-44s %9.0f bytes, cache and filter of any size\n",
            "  and for requests, trackers and channels",
            size[0] - each * lines);
}

/* All devices, and one of all, each against one that does the same, in turns */
static void bench_devices(double seconds)
{
    static const struct {
        unsigned busy;
        unsigned group;
        const char *name;
    } kinds[] = {
        { CXL_CACHE_DEV_MAX, BATCH, "16 devices, a batch each" },
        { CXL_CACHE_DEV_MAX, 1, "16 devices, line by line" },
        { 1, 1, "one of 16 devices" },
    };
    const unsigned lines = 1 << 14;

    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        g_autofree char *name = g_strdup_printf(
            "CXL.cache throughput, %s against one", kinds[k].name);
        double cost[2][ROUNDS], m[2];
        unsigned at[2] = { };
        Bench *b[2];

        for (int i = 0; i < 2; i++) {
            b[i] = prepared(lines, false, i ? 1 : CXL_CACHE_DEV_MAX,
                            kinds[k].busy, kinds[k].group);
            walk(b[i], lines, &at[i], seconds / 4);
        }
        for (unsigned n = 0; n < ROUNDS; n++) {
            for (int i = 0; i < 2; i++) {
                cost[i][n] = walk(b[i], lines, &at[i], seconds);
            }
        }
        for (int i = 0; i < 2; i++) {
            m[i] = median(cost[i]);
            bench_free(b[i]);
        }
        result(name, 1000 / m[0], 1000 / m[1], m[1] / m[0], "M/s", 0.9);
    }
}

/* A page of one device after a page of another, by the fast gear */
static void page_by_turns(Bench *b, uint64_t line)
{
    b->dev = b->devs[(line - BASE) / PAGE_LINES % b->num_devs];
    page_by_gear(b, line);
}

static void bench_device_pages(double seconds)
{
    static const unsigned devs[] = { 1, CXL_CACHE_DEV_MAX };
    double cost[ARRAY_SIZE(devs)][ROUNDS], m[ARRAY_SIZE(devs)];
    const unsigned lines = 1 << 14;
    Bench *b[ARRAY_SIZE(devs)];

    for (unsigned k = 0; k < ARRAY_SIZE(devs); k++) {
        b[k] = bench_new(devs[k]);
        walk_pages(b[k], page_by_turns, lines, seconds / 4);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned k = 0; k < ARRAY_SIZE(devs); k++) {
            cost[k][i] = walk_pages(b[k], page_by_turns, lines, seconds);
        }
    }
    for (unsigned k = 0; k < ARRAY_SIZE(devs); k++) {
        m[k] = median(cost[k]);
        bench_free(b[k]);
    }
    result("CXL.cache pages, 16 devices against one", m[1], m[0], m[0] / m[1],
           "us", 0.9);
}

int main(void)
{
    const char *ms = g_getenv("CXL_CACHE_BENCH_MS");
    double seconds = (ms ? g_ascii_strtod(ms, NULL) : 300) / 1000;

    if (g_getenv("CXL_CACHE_BENCH_DEVICES")) {
        bench_devices(seconds);
        bench_device_pages(seconds);
        return 0;
    }
    bench_speed(false, seconds);
    bench_speed(true, seconds);
    bench_pages(1 << 10, "1 k lines", seconds / 2);
    bench_pages(MAX_LINES, "1 M lines", seconds / 2);
    bench_size();
    bench_devices(seconds / 2);
    bench_device_pages(seconds / 4);
    return 0;
}
