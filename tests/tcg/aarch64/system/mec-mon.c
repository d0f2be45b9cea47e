/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's part of the FEAT_MEC cases that need a monitor or a debugger
 * (46, 51-53). scripts/mec/monitor.py sends one letter a step to the UART;
 * the answer is a line "= letter numbers" on the semihosting console.
 */

#include "mec-rt.h"

#define UART    0x09000000UL
#define UART_DR (UART + 0x00)
#define UART_FR (UART + 0x18)
#define UART_CR (UART + 0x30)
#define FR_RXFE 0x10

#define CODE_VA 0x80000000UL
#define SLOT_VA 0xffffff8000010000UL    /* as RMM's slots: TTBR1, AMEC=1 */
#define FLAG_VA 0xffffff8000020000UL

/*
 * Where the emulator loads it at each start: system reset must bring it back
 * in the default context, whoever owned the page before.
 */
static uint64_t firmware[512] __attribute__((aligned(4096), section(".data")))
    = { 0x1122334455667788, [511] = 0x99aabbccddeeff00 };

#define PAGES 6
static uint64_t page[PAGES], val[PAGES], slot_pa, flag_pa;
static const uint16_t owner[PAGES] = { 1, 2, 3, 1, 0xffff, 0 };

static uint32_t mmio(uint64_t pa)
{
    return LD((uint32_t *)pa);
}

static char wait_for_letter(void)
{
    while (mmio(UART_FR) & FR_RXFE) {
    }
    return mmio(UART_DR);
}

/* Pages of several contexts; the fourth belongs to two of them. */
static uint64_t write_pages(void)
{
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        mec_w(owner[i], page[i], val[i]);
        mec_w(owner[i], page[i] + 4088, ~val[i]);
    }
    mec_w(2, page[3] + 64, val[3] + 1);
    return 0;
}

static uint64_t check_pages(void)
{
    uint64_t bad = 0;
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        bad += mec_r(owner[i], page[i]) != val[i];
        bad += mec_r(owner[i], page[i] + 4088) != ~val[i];
        bad += !mec_differ(mec_r(owner[i] ^ 8, page[i]), val[i]);
    }
    bad += mec_r(2, page[3] + 64) != val[3] + 1;
    bad += !mec_differ(mec_r(1, page[3] + 64), val[3] + 1);
    return bad;
}

static void el2_world(uint16_t a1)
{
    static struct mec_tt lo, hi;
    struct mec_world w = {
        .scr = mec_scr(WORLD_REALM), .hcr = HCR_RW | HCR_E2H,
        .sctlr2_el2 = SCTLR2_EMEC, .tcr2_el2 = TCR2_AMEC1,
        .sctlr_el2 = SCTLR_M | SCTLR_C | SCTLR_I,
        .tcr_el2 = MEC_TCR_E2H1 | TCR_A1, .vbar_el2 = CODE_VA,
    };

    mec_tt_init(&lo, WIN_REALM, 0);
    mec_tt_init(&hi, WIN_REALM, 0);
    mec_map(&lo, CODE_VA, mec_agent_page(0), 3, PTE_S1);
    mec_map(&hi, SLOT_VA, slot_pa, 3, PTE_S1 | PTE_AMEC);
    mec_map(&hi, FLAG_VA, flag_pa, 3, PTE_S1);
    w.ttbr0_el2 = lo.root;
    w.ttbr1_el2 = hi.root;
    wr(MECID_P0_EL2, 0);
    wr(MECID_P1_EL2, 0);
    wr(MECID_A1_EL2, a1);
    mec_load_world(&w);
    mec_tlbi();
}

/* Maintenance with each form of the operand; how many values were lost. */
static uint64_t maintain(void)
{
    static const uint64_t space[] = { PA_NS | PA_NSE, PA_NS, PA_NSE, 0 };
    struct mec_regs r;
    uint64_t bad = 0;
    unsigned i;

    el2_world(0);
    for (i = 0; i < 4; i++) {
        mec_set(7);
        if (i & 1) {
            mec_cipapa_page(page[i] | space[i]);
        } else {
            bad += mec_op(&r, EL2, CODE_VA, OP(cipae), page[i] | space[i], 0,
                          0) != END_DONE;
        }
    }
    return bad;
}

static uint64_t own_firmware(void)
{
    mec_fill(5, (uint64_t)firmware, 0x5555, 4096);
    mec_w(6, (uint64_t)firmware + 8, 1);
    return mec_r(5, (uint64_t)firmware) != 0x5555;
}

static uint64_t firmware_bad(void)
{
    uint64_t bad = 0;
    unsigned i;

    bad += LD(firmware) != 0x1122334455667788;
    bad += LD(firmware + 511) != 0x99aabbccddeeff00;
    for (i = 1; i < 511; i++) {
        bad += LD(firmware + i) != 0;
    }
    return bad;
}

/*
 * At R-EL2 until the debugger sets the flag; it writes the slot before. The
 * slot's page is another context's in part, and that one wrote last.
 */
static uint64_t slot_wait(void)
{
    struct mec_regs r;
    enum mec_end end;

    mec_w(0x12, slot_pa, val[0]);
    mec_w(0x12, slot_pa + 8, val[1]);
    mec_w(0x13, slot_pa + 128, val[2]);
    el2_world(0x12);
    mec_watchdog = 20;
    mec_w(0, flag_pa, 0);
    ml_printf("= g waiting 0x%lx 0x%lx 0x%lx 0x%lx\n", SLOT_VA, FLAG_VA,
              val[0], val[1]);
    end = mec_op(&r, EL2, CODE_VA, OP(wait), FLAG_VA, 0, 0);
    mec_watchdog = 1;
    if (end == END_DONE) {
        end = mec_op(&r, EL2, CODE_VA, OP(ld64), SLOT_VA, 0, 0);
    }
    ml_printf("# end %d, 0x%lx; 0x12 reads 0x%lx, 0x%lx\n", end, r.x[0],
              mec_r(0x12, slot_pa), mec_r(0x12, slot_pa + 8));
    return end != END_DONE || r.x[0] != 0x0123456789abcdef ||
           mec_r(0x12, slot_pa) != 0x0123456789abcdef ||
           mec_r(0x12, slot_pa + 8) != val[1] ||
           mec_r(0x13, slot_pa + 128) != val[2] ||
           !mec_differ(mec_r(0x13, slot_pa), 0x0123456789abcdef);
}

void mec_main(void)
{
    unsigned i;

    ST((uint32_t *)UART_CR, 0x301);
    for (i = 0; i < PAGES; i++) {
        page[i] = mec_page();
        val[i] = mec_value();
    }
    slot_pa = mec_page();
    flag_pa = mec_page();
    ml_printf("= boot %ld\n", firmware_bad());
    for (;;) {
        char c = wait_for_letter();
        uint64_t result = 1;

        switch (c) {
        case 'w':
            result = write_pages();
            break;
        case 'c':
            result = check_pages();
            break;
        case 'm':
            result = maintain();
            break;
        case 'f':
            result = own_firmware();
            break;
        case 'g':
            result = slot_wait();
            break;
        case 'p':
            for (i = 0; i < PAGES; i++) {
                ml_printf("# page 0x%lx 0x%lx %d\n", page[i], val[i],
                          owner[i]);
            }
            ml_printf("# page 0x%lx 0x%lx %d\n", (uint64_t)firmware, 0x5555UL,
                      6);
            result = 0;
            break;
        }
        ml_printf("= %s %ld\n", (char []) { c, '\0' }, result);
    }
}
