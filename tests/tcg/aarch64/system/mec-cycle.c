/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Granules that are recycled all the time between the Non-secure world and two
 * realms, by several CPUs and a device: cases 63 and 64. For machines with
 * mec-writeback=.
 *
 * Case 63 has all the maintenance that TF-A and TF-RMM do, and no granule may
 * lose a word. In case 64 one step is left out (omit=NAME): with
 * mec-writeback=adversarial data must be lost (lost=1), and with immediate they
 * must not (lost=0), which is why such firmware looks right there.
 */

#include "mec-rt.h"
#include "mec-fwcfg.h"
#include "mec-cxl.h"

#define GRANULES    32
#define WORDS       512
#define LINES       64

/* The file opt/mec/pattern: word i is PATTERN + i */
#define PATTERN     0x4d45432d00000000UL

/* What may be left out */
enum {
    OMIT_NOTHING,
    OMIT_CIPAE,         /* when a realm's granule is destroyed */
    OMIT_LINE,          /* ... of its last line */
    OMIT_UNDELEGATE,    /* the Realm address, when Non-secure gets it back */
    OMIT_SPACE,         /* ... the Non-secure one is taken for it */
    OMIT_DELEGATE,      /* the Non-secure address, when it is Realm's next */
};

static const struct {
    const char *name;
    const char *what;
} omissions[] = {
    [OMIT_CIPAE] = { "cipae", "no DC CIPAE of a destroyed granule" },
    [OMIT_LINE] = { "line", "DC CIPAE leaves out the last line" },
    [OMIT_UNDELEGATE] = { "undelegate", "no DC CIPAPA of the Realm address" },
    [OMIT_SPACE] = { "space", "DC CIPAPA of the wrong address space" },
    [OMIT_DELEGATE] = { "delegate", "no DC CIPAPA of the Non-secure address" },
};

enum { NS, REALM_1, REALM_2, OWNERS };

struct granule {
    uint64_t pa, seed;
    uint32_t lock, owner;
    bool by_device;     /* fw_cfg has written it, and not a CPU */
};

static struct granule granules[GRANULES];
static unsigned omit;
static uint64_t rounds_each, lost[MEC_MAX_CPUS], by_fwcfg, by_cache;
static uint16_t pattern_key;
static bool cxl;

static uint64_t *window(unsigned owner, uint64_t pa)
{
    mec_set(owner);
    return mec_va(owner == NS ? WIN_NS : WIN_REALM, pa);
}

static uint64_t word(const struct granule *g, unsigned i)
{
    return g->by_device ? PATTERN + i
                        : (g->seed + i) * 0x9e3779b97f4a7c15UL | 1;
}

static uint64_t wrong_words(const struct granule *g)
{
    uint64_t *p = window(g->owner, g->pa), wrong = 0;
    unsigned i;

    for (i = 0; i < WORDS; i++) {
        wrong += LD(p + i) != word(g, i);
    }
    return wrong;
}

static void cipae_page(uint64_t pa)
{
    unsigned i, n = omit == OMIT_LINE ? LINES - 1 : LINES;

    dsb();
    for (i = 0; omit != OMIT_CIPAE && i < n; i++) {
        asm volatile("sys #4, c7, c14, #0, %0" : :
                     "r" ((pa + i * 64) | PA_NS | PA_NSE) : "memory");
    }
    dsb();
}

/* Non-secure finds zeroes: what is left out may show here already. */
static uint64_t undelegate(uint64_t pa)
{
    uint64_t *p = window(NS, pa), wrong = 0;
    unsigned i;

    mec_fill(0, pa, 0, 4096);                   /* RMM's scrub */
    if (omit != OMIT_UNDELEGATE) {
        mec_cipapa_page(pa | PA_NS | (omit == OMIT_SPACE ? 0 : PA_NSE));
    }
    mec_cipapa_page(pa | PA_NS);
    for (i = 0; i < WORDS; i++) {
        wrong += LD(p + i) != 0;
    }
    return wrong;
}

static void delegate(uint64_t pa)
{
    mec_cipapa_page(pa | PA_NS | PA_NSE);
    if (omit != OMIT_DELEGATE) {
        mec_cipapa_page(pa | PA_NS);
    }
}

/* A line of the page, by CXL.cache: the registers are CPU 0's. */
static void write_by_cache(const struct granule *g, unsigned line)
{
    uint64_t data[8];
    unsigned i;

    for (i = 0; i < 8; i++) {
        data[i] = word(g, line * 8 + i);
    }
    if (cxl_request(CXL_WR_INV, g->pa + line * 64, ~0UL, data)) {
        by_cache++;
    }
}

static void write_all(struct granule *g, int cpu, uint64_t rnd)
{
    uint64_t *p = window(g->owner, g->pa);
    unsigned i;

    g->seed = rnd;
    g->by_device = g->owner == NS && cpu == 0 && pattern_key && !(rnd & 7);
    if (g->by_device) {
        by_fwcfg += fw_cfg_dma(pattern_key, g->pa, 4096);
        return;
    }
    for (i = 0; i < WORDS; i++) {
        ST(p + i, word(g, i));
    }
    if (g->owner == NS && cpu == 0 && cxl && (rnd & 8)) {
        for (i = 0; i < 8; i++) {
            ST(p + (rnd >> 8) % LINES * 8 + i, 0);
        }
        write_by_cache(g, (rnd >> 8) % LINES);
    }
    dsb();
}

static uint64_t one_round(struct granule *g, int cpu, uint64_t rnd)
{
    unsigned next = (g->owner + 1 + (rnd >> 32) % (OWNERS - 1)) % OWNERS;
    uint64_t wrong = wrong_words(g);

    if (g->owner != NS) {
        cipae_page(g->pa);
    }
    if (g->owner != NS && next == NS) {
        wrong += undelegate(g->pa);
    } else if (g->owner == NS) {
        delegate(g->pa);
    }
    g->owner = next;
    write_all(g, cpu, rnd);
    return wrong + wrong_words(g);
}

static uint64_t rounds(void *arg)
{
    int cpu = mec_cpu_id();
    uint64_t n, seed = mec_arg_num("seed", 1) * MEC_MAX_CPUS + cpu;

    for (n = 0; n < rounds_each; ) {
        uint64_t rnd = mec_random(&seed);
        struct granule *g = &granules[(rnd >> 40) % GRANULES];

        if (__atomic_exchange_n(&g->lock, 1, __ATOMIC_ACQUIRE)) {
            continue;
        }
        lost[cpu] += one_round(g, cpu, rnd);
        __atomic_store_n(&g->lock, 0, __ATOMIC_RELEASE);
        n++;
    }
    return 0;
}

static unsigned find_omission(void)
{
    const char *name = mec_arg("omit");
    unsigned i, n;

    for (i = OMIT_CIPAE; name && i < ARRAY_SIZE(omissions); i++) {
        for (n = 0; omissions[i].name[n] == name[n] && name[n]; n++) {
        }
        if (!omissions[i].name[n] && (!name[n] || name[n] == ' ')) {
            return i;
        }
    }
    return OMIT_NOTHING;
}

void mec_main(void)
{
    int cpu, cpus = mec_cpu_count();
    uint64_t total = mec_arg_num("rounds", 2000), wrong = 0;
    uint64_t ticks = mec_ticks();
    unsigned i;

    omit = find_omission();
    pattern_key = fw_cfg_find("opt/mec/pattern");
    cxl = mec_arg_num("cxl", 0) && cxl_find();
    rounds_each = total / cpus;
    mec_case(omit ? 64 : 63, omit ? omissions[omit].what :
             "granules recycled with all their maintenance");
    for (i = 0; i < GRANULES; i++) {
        granules[i].pa = mec_page();
        granules[i].owner = NS;
        write_all(&granules[i], -1, i);
    }
    for (cpu = 1; cpu < cpus; cpu++) {
        mec_start_on(cpu, rounds, NULL);
    }
    rounds(NULL);
    for (cpu = 1; cpu < cpus; cpu++) {
        mec_wait_for(cpu);
    }
    for (cpu = 0; cpu < cpus; cpu++) {
        wrong += lost[cpu];
    }
    for (i = 0; i < GRANULES; i++) {
        wrong += wrong_words(&granules[i]);
    }
    MEC_CHECK(!wrong == !mec_arg_num("lost", 0), "%ld words were wrong", wrong);
    MEC_CHECK(cxl == mec_arg_num("cxl", 0), "there is no device");
    MEC_CHECK(!pattern_key || by_fwcfg, "no page was written by DMA");
    MEC_CHECK(!cxl || by_cache, "no line was written by CXL.cache");
    ml_printf("# %ld rounds on %d CPUs, %ld words wrong, %ld pages by DMA, "
              "%ld lines by CXL.cache, %d ms\n", rounds_each * cpus, cpus,
              wrong, by_fwcfg, by_cache,
              (int)((mec_ticks() - ticks) / (mec_ticks_per_second() / 1000)));
    mec_done();
}
