/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC shown to a person: three contexts write and read one page, what a
 * mismatch looks like, maintenance, the granule's second life, and what a CXL
 * device gets of it, as anybody's and as a realm's. Each line is checked as
 * well as shown; scripts/mec/demo.sh runs it.
 */

#include "mec-rt.h"
#include "mec-fwcfg.h"
#include "mec-cxl.h"

static uint64_t pa;
static unsigned bad;

enum { NS = -1 };   /* a reader that is no Realm context */

/* n bytes at offset, as the reader sees them. */
static void see(int mecid, unsigned off, uint8_t *buf, unsigned n)
{
    uint8_t *p;

    mec_set(mecid < 0 ? 0 : mecid);
    p = mec_va(mecid < 0 ? WIN_NS : WIN_REALM, pa + off);
    while (n--) {
        *buf++ = LD(p++);
    }
}

static void put_text(int mecid, unsigned off, const char *text)
{
    uint8_t *p;

    mec_set(mecid < 0 ? 0 : mecid);
    p = mec_va(mecid < 0 ? WIN_NS : WIN_REALM, pa + off);
    do {
        ST(p++, *text);
    } while (*text++);
    dsb();
}

/* Show 24 bytes; say whether that is what was meant to be seen. */
static void show_bytes(const char *who, const uint8_t buf[24],
                       const char *text, bool readable)
{
    static const char hex[] = "0123456789abcdef";
    bool same = true;
    unsigned i;

    for (i = 0; text[i] && i < 24; i++) {
        same &= buf[i] == (uint8_t)text[i];
    }
    ml_printf("   %s reads  ", who);
    for (i = 0; i < 12; i++) {
        ml_printf("%c%c ", hex[buf[i] >> 4], hex[buf[i] & 15]);
    }
    ml_printf(" |");
    for (i = 0; i < 24; i++) {
        ml_printf("%c", buf[i] >= ' ' && buf[i] < 127 ? buf[i] :
                  buf[i] ? '~' : '.');
    }
    ml_printf("|%s\n", same == readable ? (readable ? "" : "  unreadable") :
              "  WRONG");
    bad += same != readable;
}

static void show(const char *who, int mecid, unsigned off, const char *text,
                 bool readable)
{
    uint8_t buf[24];

    see(mecid, off, buf, sizeof(buf));
    show_bytes(who, buf, text, readable);
}

/* Likewise, of what the device reads by CXL.cache; or that it is refused */
static void show_device(const char *text, bool readable, bool refused)
{
    uint64_t data[8] = { };
    bool ok = cxl_request(CXL_RD_CURR, pa, 0, data);

    if (!ok) {
        ml_printf("   CXL device reads  GO-Err: refused%s\n",
                  refused ? "" : "  WRONG");
    } else {
        show_bytes("CXL device", (uint8_t *)data, text, readable);
    }
    bad += ok == refused;
}

static void step(const char *title)
{
    static int n;

    ml_printf("\n%d. %s\n", ++n, title);
}

static void maintain(void)
{
    mec_cipapa_page(pa | PA_NS | PA_NSE);
    mec_cipapa_page(pa | PA_NS);
}

#define ONE "realm one: sign with k1"
#define TWO "realm two: 42 is secret"
#define RMM "RMM's own: descriptor 7"
#define DMA "from a device, by DMA "
#define FOUR "realm four lives here  "

void mec_main(void)
{
    uint16_t key = fw_cfg_find("opt/mec/text");
    unsigned i;

    pa = mec_page();
    ml_printf("One page of Realm memory at 0x%lx, and who can read it.\n"
              "24 bytes each: the first 12 in hex, all as text ('.' is 0).\n",
              pa);

    step("Realm 1 (MECID 1) writes its secret");
    put_text(1, 0, ONE);
    show("MECID 1   ", 1, 0, ONE, true);
    show("MECID 2   ", 2, 0, ONE, false);
    show("RMM (0)   ", 0, 0, ONE, false);
    show("Non-secure", NS, 0, ONE, false);
    show("MECID 1   ", 1, 0, ONE, true);

    step("Realm 2 (MECID 2) and RMM (MECID 0) write to other lines of it");
    put_text(2, 64, TWO);
    put_text(0, 128, RMM);
    for (i = 0; i < 3; i++) {
        static const char *text[] = { ONE, TWO, RMM };
        static const char *at[] = { "   +0x00, of Realm 1:\n",
                                    "   +0x40, of Realm 2:\n",
                                    "   +0x80, of RMM:\n" };

        ml_printf(at[i]);
        show("MECID 1   ", 1, 64 * i, text[i], i == 0);
        show("MECID 2   ", 2, 64 * i, text[i], i == 1);
        show("RMM (0)   ", 0, 64 * i, text[i], i == 2);
    }
    ml_printf("   Each context reads its own bytes and no other's.\n");

    step("Maintenance by PA (DC CIPAPA): nothing is lost or revealed");
    maintain();
    show("MECID 1   ", 1, 0, ONE, true);
    show("MECID 2   ", 2, 64, TWO, true);
    show("RMM (0)   ", 0, 128, RMM, true);
    show("Non-secure", NS, 0, ONE, false);

    step("Realm 1 is destroyed: RMM zeroes the granule (MECID 0) and\n"
         "   gives it back to the Non-secure world (GPT change, DC CIPAPA)");
    mec_fill(0, pa, 0, 4096);
    maintain();
    show("Non-secure", NS, 0, "", true);
    for (i = 0; i < 4096; i += 8) {
        bad += mec_rw(WIN_NS, pa + i) != 0;
    }
    show("MECID 1   ", 1, 0, ONE, false);

    step("A device writes to it by DMA (fw_cfg); Linux reads it");
    if (!key || !fw_cfg_dma(key, pa, sizeof(DMA) - 1)) {
        ml_printf("   WRONG: no DMA (-fw_cfg name=opt/mec/text)\n");
        bad++;
    }
    show("Non-secure", NS, 0, DMA, true);
    show("MECID 2   ", 2, 0, DMA, false);

    step("Delegated again, to Realm 4: it starts from what it writes");
    maintain();
    mec_fill(4, pa, 0, 4096);
    put_text(4, 0, FOUR);
    show("MECID 4   ", 4, 0, FOUR, true);
    show("MECID 1   ", 1, 0, FOUR, false);
    show("Non-secure", NS, 0, FOUR, false);

    step("A coherent device (CXL.cache, Non-secure, MECID 0) is told to read\n"
         "   Realm 4's page. Granules are not checked: it gets what MECID 0 gets");
    if (!cxl_find()) {
        ml_printf("   WRONG: no device\n");
        bad++;
    }
    show_device(FOUR, false, false);
    show("MECID 4   ", 4, 0, FOUR, true);

    step("The granule is Realm's in the GPT: the device is refused it");
    mec_gpt_give(pa, GPI_REALM);
    show_device(FOUR, false, true);
    show("MECID 4   ", 4, 0, FOUR, true);

    step("The device is assigned to Realm 4 (RME-CDA of its root port):\n"
         "   its requests for Realm granules pass, and have MECID 4");
    cxl_assign(true);
    show_device(FOUR, true, false);
    cxl_request(CXL_WR_INV, pa + 64, ~0UL, (uint64_t[8]) { 0x64656e67697373 });
    bad += mec_r(4, pa + 64) != 0x64656e67697373;
    cxl_assign(false);
    show_device(FOUR, false, true);

    step("Given back with no maintenance, a line that the device writes is\n"
         "   lost to Realm 4, and no other");
    mec_gpt_give(pa, GPI_NS);
    mec_gpt_off();
    cxl_request(CXL_WR_INV, pa, ~0UL, (uint64_t[8]) { 0x65636976656420, });
    show("MECID 4   ", 4, 0, FOUR, false);
    show("Non-secure", NS, 0, " device", true);
    show_device(" device", true, false);
    bad += mec_r(4, pa + 64) != 0x64656e67697373;

    ml_printf("\n%s\n", bad ? "Something is WRONG." :
              "All as the architecture has it.");
    mec_flush();
    mec_exit(bad != 0);
}
