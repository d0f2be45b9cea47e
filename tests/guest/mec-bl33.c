/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What TF-A starts as BL33, before it lets Linux have the machine: a
 * Non-secure host that asks the test realm payload (TRP) for granules, and
 * hands a coherent device their addresses.
 *
 * Each of GRANULES granules is filled, delegated to Realm, found out of reach
 * of this CPU and of the device, taken back, and used again by both, ROUNDS
 * times.  Every one of these moves makes EL3 clean the granule by physical
 * address (DC CIPAPA), which is where FEAT_MEC has to leave Non-secure memory
 * as it was.
 *
 * The result is one line on the console, numbers of eight digits in hex:
 *   BL33: rmi V moves M faults F refused R kept K alike A errors E
 * refused: requests of the device for granules of Realm; alike: lines that
 * the device has read as they are, or this CPU as the device has written them
 */

#include <stdbool.h>
#include <stdint.h>

/* One access of the pointer's size; the MMU is off, so all are in order. */
#define LD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define ST(p, val) __atomic_store_n(p, val, __ATOMIC_RELAXED)
#define dsb() asm volatile("dsb sy" : : : "memory")
#include "../tcg/aarch64/system/mec-cxl.h"

#define UART            0x09000000UL
#define UART_FR         0x18
#define UART_FR_TXFF    (1u << 5)

#define RMI_VERSION     0xc4000150
#define RMI_DELEGATE    0xc4000151
#define RMI_UNDELEGATE  0xc4000152

#define FIRST           0x48000000UL
#define GRANULES        32
#define GRANULE         4096
#define LINE            64
#define ROUNDS          16

/* Data Abort, same EL; Granule Protection Fault, not on a table walk */
#define ESR_GPF         0x94000028      /* EC and DFSC */
#define ESR_MASK        0xfc00003f

extern volatile uint64_t bl33_esr;
void bl33_main(void);

static struct {
    uint64_t version;
    unsigned moves, faults, refused, kept, alike, errors;
} seen;

static uint64_t rmi(uint64_t function, uint64_t argument, uint64_t *result)
{
    register uint64_t x0 asm("x0") = function;
    register uint64_t x1 asm("x1") = argument;

    asm volatile("smc #0" : "+r" (x0), "+r" (x1) : :
                 "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                 "x12", "x13", "x14", "x15", "x16", "x17", "memory");
    *result = x1;
    return x0;
}

static void move(uint64_t function, uint64_t granule)
{
    uint64_t unused;

    seen.errors += rmi(function, granule, &unused) != 0;
    seen.moves++;
}

/* Each word is its address turned by the seed. */
static uint64_t word(uint64_t at, uint64_t seed)
{
    return at ^ seed << 32;
}

static void fill(uint64_t granule, uint64_t seed)
{
    for (uint64_t at = granule; at < granule + GRANULE; at += 8) {
        ST((uint64_t *)at, word(at, seed));
    }
}

static bool is_filled(uint64_t at, unsigned size, uint64_t seed)
{
    bool same = true;

    for (uint64_t end = at + size; at < end; at += 8) {
        same &= LD((uint64_t *)at) == word(at, seed);
    }
    return same;
}

static void is_out_of_reach(uint64_t granule)
{
    uint64_t data[8] = { };

    bl33_esr = 0;
    LD((uint64_t *)granule);
    seen.faults += (bl33_esr & ESR_MASK) == ESR_GPF;
    seen.refused += !cxl_request(CXL_RD_CURR, granule + LINE, 0, data);
    seen.refused += !cxl_request(CXL_WR_INV, granule + LINE, ~0UL, data);
}

/* The device reads a line, and writes another one. */
static void is_the_devices(uint64_t granule, uint64_t seed)
{
    uint64_t line = granule + 2 * LINE, data[8];
    bool same = cxl_request(CXL_RD_CURR, line, 0, data);

    for (unsigned i = 0; i < 8; i++) {
        same &= data[i] == word(line + 8 * i, seed);
        data[i] = word(line + LINE + 8 * i, ~seed);
    }
    seen.alike += same;
    seen.alike += cxl_request(CXL_WR_INV, line + LINE, ~0UL, data) &&
                  is_filled(line + LINE, LINE, ~seed);
}

static void visit(uint64_t granule, uint64_t seed)
{
    fill(granule, seed);
    move(RMI_DELEGATE, granule);
    is_out_of_reach(granule);
    move(RMI_UNDELEGATE, granule);
    seen.kept += is_filled(granule, GRANULE, seed);
    is_the_devices(granule, seed);
    fill(granule, ~seed);
    seen.errors += !is_filled(granule, GRANULE, ~seed);
}

static void put(char c)
{
    while (LD((uint32_t *)(UART + UART_FR)) & UART_FR_TXFF) {
    }
    ST((uint32_t *)UART, c);
}

static void put_text(const char *text)
{
    while (*text) {
        put(*text++);
    }
}

static void report(const char *what, uint32_t number)
{
    put_text(what);
    for (int shift = 28; shift >= 0; shift -= 4) {
        put("0123456789abcdef"[number >> shift & 15]);
    }
}

void bl33_main(void)
{
    seen.errors += rmi(RMI_VERSION, 0, &seen.version) != 0;
    seen.errors += !cxl_find();
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < GRANULES; i++) {
            visit(FIRST + i * GRANULE, round);
        }
    }
    report("BL33: rmi ", seen.version);
    report(" moves ", seen.moves);
    report(" faults ", seen.faults);
    report(" refused ", seen.refused);
    report(" kept ", seen.kept);
    report(" alike ", seen.alike);
    report(" errors ", seen.errors);
    put_text("\r\n");
}
