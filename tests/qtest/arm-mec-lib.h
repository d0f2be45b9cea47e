/*
 * What the tests of FEAT_MEC on the virt machine share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A payload at EL3 does the accesses, see arm-mec-payload.S, on each CPU that
 * starts in it; all else is seen from outside.
 */

#ifndef ARM_MEC_LIB_H
#define ARM_MEC_LIB_H

#include "libqtest.h"
#include "qemu/units.h"

#define PAYLOAD         0x40100000
#define BOX             0x40300000
#define BLOB            0x40400000
#define PAGES           0x44000000
#define RAM_MIB         128
#define RAM_END         (0x40000000 + RAM_MIB * MiB)
#define PAGE            4096

/* Words of the mailbox of CPU 0 */
#define BOX_COMMAND     (BOX + 0x00)
#define BOX_MECID       (BOX + 0x08)
#define BOX_ADDRESS     (BOX + 0x10)
#define BOX_VALUE       (BOX + 0x18)
#define BOX_FAULT       (BOX + 0x20)
#define BOX_ERRORS      (BOX + 0x28)
#define BOX_LAPS        (BOX + 0x30)
#define BOX_STOP        (BOX + 0x38)
#define BOX_STARTS      (BOX + 0x40)
#define BOX_PEER        (BOX + 0x48)
#define BOX_SHADOW      (BOX + 0x1000)

#define BOX_CPU(n)      (BOX + (n) * 0x2000)

#define CHURN_PAGES     16

/* What the payload can be told to do */
enum {
    LOAD = 1,
    STORE,
    STORE_BYTE,
    CLEAN,
    LOAD_AS_IT_IS,
    CHURN,
    ID_REGISTER,
    LOAD_PAIR,
    ALTERNATE,
    FILL,
    WALK,
    WATCH,
    WITHOUT_EMEC,
    GRANULES,
    CIPAPA_LINES,
    CIPAE_LINES,
    CIVAC_LINES,
    CVAC_LINES,
};

#define LINES_OF_PAGE   64

/* Aliases of main memory in the payload's address space */
#define ROOT(pa)        ((uint64_t)(pa))
#define REALM(pa)       ((uint64_t)(pa) + 0x40000000)
#define NONSECURE(pa)   ((uint64_t)(pa) + 0x80000000)
#define SECURE(pa)      ((uint64_t)(pa) + 0xc0000000)

/* Where memory is plugged in, and its aliases */
#define DIMM            0x80000000
#define DIMM_REALM(pa)  ((uint64_t)(pa) + 0xc0000000)
#define DIMM_NS(pa)     ((uint64_t)(pa) + 0x100000000)

/* Operands of DC CIPAPA for addresses of three spaces */
#define CLEAN_REALM(pa) ((uint64_t)(pa) | 3ull << 62)
#define CLEAN_ROOT(pa)  ((uint64_t)(pa) | 1ull << 62)
#define CLEAN_NS(pa)    ((uint64_t)(pa) | 1ull << 63)

#define DEADBEEF        0xdeadbeefdeadbeefull
#define VALUE           0x0123456789abcdefull

#define MACHINE         "virt,secure=on,virtualization=on"
#define CPU             "-cpu max,x-rme=on "

#define TIMEOUT_US      (60 * G_USEC_PER_SEC)

/* The file that machines are started with */
extern char *arm_mec_payload_file;

/** arm_mec_write_payload: make it; the caller unlinks it in the end */
void arm_mec_write_payload(void);

/**
 * start_with: start a machine with the payload on CPU 0
 * @machine: argument of -M
 * @args: other arguments
 */
QTestState *start_with(const char *machine, const char *args);

/** start: start a machine with contexts, and wait for nothing */
QTestState *start(void);

/**
 * wait_for: wait until a word of memory is a value
 * @qts: machine
 * @pa: physical address
 * @value: value
 * @differs: wait until it is another one instead
 *
 * Returns the word.
 */
uint64_t wait_for(QTestState *qts, uint64_t pa, uint64_t value, bool differs);

/**
 * wait_for_start: wait for the payload on CPU 0
 * @qts: machine
 * @starts: how often it has started then
 */
void wait_for_start(QTestState *qts, uint64_t starts);

/**
 * command: have the payload on CPU 0 do something, and do not wait
 * @qts: machine
 * @code: what
 * @mecid: in context
 * @address: virtual address, as a rule
 * @value: depends on @code
 */
void command(QTestState *qts, int code, uint64_t mecid, uint64_t address,
             uint64_t value);

/**
 * payload: have the payload on CPU 0 do something, which must not fault
 *
 * Returns its value. For the arguments see command().
 */
uint64_t payload(QTestState *qts, int code, uint64_t mecid, uint64_t address,
                 uint64_t value);

/** load: load a word at @va in context @mecid */
uint64_t load(QTestState *qts, uint16_t mecid, uint64_t va);

/** store: store a word at @va in context @mecid */
void store(QTestState *qts, uint16_t mecid, uint64_t va, uint64_t value);

/** clean: DC CIPAPA of an address in the Realm space */
void clean(QTestState *qts, uint64_t pa);

/** resident: the page's resident context, as the monitor has it */
int resident(QTestState *qts, uint64_t pa);

/** mixed: has more than one context written the page? */
bool mixed(QTestState *qts, uint64_t pa);

/** assert_unreadable: neither 32-bit half is that of @value */
void assert_unreadable(uint64_t seen, uint64_t value);

/** count_in_hmp: how often @what stands in the output of a monitor command */
int count_in_hmp(QTestState *qts, const char *command, const char *what);

/** arm_mec_add_migration_tests: snapshots and migration */
void arm_mec_add_migration_tests(void);

/** arm_mec_add_field_tests: cases that were met in the field */
void arm_mec_add_field_tests(void);

#endif
