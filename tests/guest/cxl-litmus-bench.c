// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the trap costs, as the guest sees it: a device takes lines of a page
 * (arm), then a CPU loads one byte of it (first touch).
 *
 * For each number of pages held and of lines of each a line is printed:
 *   touch PAGES LINES ARM TOUCH BOTH BARE REGISTER
 * medians in nanoseconds over SAMPLES: of the doorbell, of the load, of the
 * sum of both, of the load without a device, and of a write to a register
 * that does nothing, which is part of the doorbell's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <x86intrin.h>
#include "cxl-litmus.h"

#define SAMPLES 2000
#define MAX_HELD 10000

static uint64_t cycles(void)
{
    unsigned aux;

    return __rdtscp(&aux);
}

static double cycles_per_ns(void)
{
    double start = now(), end;
    uint64_t first = cycles();

    do {
        end = now();
    } while (end - start < 0.2);
    return (cycles() - first) / (end - start) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *samples)
{
    qsort(samples, SAMPLES, sizeof(*samples), by_value);
    return samples[SAMPLES / 2];
}

static volatile uint32_t *reg(Dev *d, unsigned offset)
{
    return (volatile uint32_t *)(d->bar + offset);
}

/* What the device does when the doorbell rings next */
static void aim(Dev *d, const uint64_t *addr, unsigned page, unsigned lines)
{
    *(volatile uint64_t *)(d->bar + CCT_ADDR) = addr[page];
    *reg(d, CCT_LEN) = lines * LINE;
    *reg(d, CCT_FLAGS) = CCT_FLAG_KEEP;
}

static uint64_t ring(Dev *d)
{
    uint64_t start = cycles();

    *reg(d, CCT_DOORBELL) = CCT_DO_WRITE;
    return cycles() - start;
}

static uint64_t ring_nothing(Dev *d)
{
    uint64_t start = cycles();

    *reg(d, CCT_FLAGS) = CCT_FLAG_KEEP;
    return cycles() - start;
}

static uint64_t touch(const uint8_t *mem, unsigned page)
{
    uint64_t start = cycles();

    (void)*(volatile uint8_t *)(mem + (uint64_t)page * PAGE + 8);
    return cycles() - start;
}

static void measure(Dev *d, const uint8_t *mem, const uint64_t *addr,
                    unsigned held, unsigned lines, double rate)
{
    static uint64_t arm[SAMPLES], load[SAMPLES], both[SAMPLES];
    static uint64_t bare[SAMPLES], none[SAMPLES];

    dev_flush(d);
    for (int i = 0; i < SAMPLES; i++) {
        touch(mem, i % held);
    }
    for (int i = 0; i < SAMPLES; i++) {
        bare[i] = touch(mem, i % held);
        none[i] = ring_nothing(d);
    }
    for (unsigned i = 0; i < held; i++) {
        aim(d, addr, i, lines);
        ring(d);
        if (*reg(d, CCT_RESULT)) {
            die("the device");
        }
    }
    /* The load takes the lines from the device, all of them stay held again */
    for (int i = 0; i < SAMPLES; i++) {
        unsigned page = i % held;

        load[i] = touch(mem, page);
        aim(d, addr, page, lines);
        arm[i] = ring(d);
        both[i] = arm[i] + load[i];
    }
    dev_flush(d);
    printf("touch %u %u %.0f %.0f %.0f %.0f %.0f\n", held, lines,
           median(arm) / rate, median(load) / rate, median(both) / rate,
           median(bare) / rate, median(none) / rate);
    fflush(stdout);
}

void bench(void)
{
    static const unsigned held[] = { 1, 100, 1000, MAX_HELD };
    static uint64_t addr[MAX_HELD];
    uint8_t *mem = alloc_pages(MAX_HELD, PROT_READ | PROT_WRITE);
    double rate = cycles_per_ns();

    for (unsigned i = 0; i < MAX_HELD; i++) {
        addr[i] = phys(mem + (uint64_t)i * PAGE);
    }
    for (unsigned i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        measure(&devs[0], mem, addr, held[i], 1, rate);
        measure(&devs[0], mem, addr, held[i], PAGE / LINE, rate);
    }
}
