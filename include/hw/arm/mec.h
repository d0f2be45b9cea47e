/*
 * FEAT_MEC: the memory encryption contexts of a machine's RAM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Models what lies behind the point of encryption of a system with FEAT_MEC
 * (Arm ARM D7.5.8 and D8.12): which context each page of RAM is stored for,
 * and how it looks to any other. Which context an access has is the PE's
 * part, see target/arm/ptw_mec.h. Nothing here asks the PE for anything.
 *
 * QEMU interface:
 *  + QOM property "memory": MemoryRegion of the physical address space (link)
 *  + QOM properties "base", "size": the range of it in which RAM has contexts;
 *    RAM can come and go there
 *  + QOM property "mismatch": ArmMecMismatch, what a wrong context reads
 *  + QOM property "writeback": ArmMecWriteback, when what a context has
 *    modified is in memory; "seed": of what is left to chance there
 *  + CPUs take the device by their link property "mec", before realize
 */

#ifndef HW_ARM_MEC_H
#define HW_ARM_MEC_H

#include "exec/hwaddr.h"
#include "exec/vaddr.h"
#include "hw/arm/arm-security.h"
#include "qom/object.h"

#define TYPE_ARM_MEC "arm-mec"
OBJECT_DECLARE_SIMPLE_TYPE(ARMMECState, ARM_MEC)

/**
 * arm_mec_view: the RAM as it looks to an access with attrs.encrypted
 * @s: device
 *
 * Returns a container, at physical addresses, whose accesses are converted
 * from and to the context in their attributes. It is exact for all pages and
 * contexts, and slow.
 */
MemoryRegion *arm_mec_view(ARMMECState *s);

/**
 * arm_mec_set_rekeyed: register what a change of a resident context calls
 * @s: device
 * @rekeyed: called in an exclusive section, when a page has changed,
 *           with its physical address
 *
 * When it returns, and the exclusive section is over, no CPU may access the
 * page by a translation that was made before.
 */
void arm_mec_set_rekeyed(ARMMECState *s, void (*rekeyed)(hwaddr pa));

/**
 * arm_mec_contains: does the RAM with contexts have this address?
 * @s: device
 * @pa: physical address
 */
bool arm_mec_contains(ARMMECState *s, hwaddr pa);

/** arm_mec_remembers: do caches keep what is modified until maintenance? */
bool arm_mec_remembers(ARMMECState *s);

/**
 * arm_mec_is_foreign: does an access have to be converted?
 * @s: device
 * @pa: physical address
 * @space: physical address space of the access
 * @mecid: its context
 *
 * False if @mecid is the page's resident context, or @pa has no context. Where
 * caches remember, the context is one of @space. The answer to a running CPU
 * holds until the next exclusive section.
 */
bool arm_mec_is_foreign(ARMMECState *s, hwaddr pa, ARMSecuritySpace space,
                        uint16_t mecid);

/**
 * arm_mec_enter: may a CPU's translation bypass the view?
 * @s: device
 * @pa: physical address
 * @space: physical address space of the access
 * @mecid: its context
 *
 * As arm_mec_is_foreign() the other way round, but that the page may become the
 * CPU's.
 */
bool arm_mec_enter(ARMMECState *s, hwaddr pa, ARMSecuritySpace space,
                   uint16_t mecid);

/* A fetch, or an update, of a translation table descriptor */
typedef struct ARMMECWalk {
    uint64_t address;       /* what is translated: a VA, or an IPA at stage 2 */
    const char *reg;        /* the register that gave @mecid, or "default" */
    ARMSecuritySpace space; /* of the table */
    uint16_t mecid;
    int8_t level;
    bool stage2;
    bool debug;             /* not the guest's: say nothing */
} ARMMECWalk;

/**
 * arm_mec_note_fill: a CPU's translation leads to RAM with contexts
 * @s: device
 * @va: virtual address of the access
 * @pa: physical address of the access
 * @size: of the access in bytes, which stays within the page
 * @space: its physical address space
 * @mecid: its context
 * @store: does it store?
 *
 * Where the page is foreign to @mecid the view tells of mismatches, and is
 * told here by which VA it is reached; else @mecid's later accesses are not
 * seen, and if this one reads what another context has written, that is
 * reported now.
 */
void arm_mec_note_fill(ARMMECState *s, vaddr va, hwaddr pa, unsigned size,
                       ARMSecuritySpace space, uint16_t mecid, bool store);

/**
 * arm_mec_convert_read: a descriptor as its reader sees it
 * @s: device
 * @pa: physical address, naturally aligned
 * @size: 4 or 8 bytes
 * @walk: the fetch; it is reported if the reader gets what another context
 *        has written
 * @data: the bytes in RAM as a little endian number
 *
 * A CPU that runs is sure of @data. To any other thread this is but a hint, as
 * the page may be re-keyed at any time.
 */
uint64_t arm_mec_convert_read(ARMMECState *s, hwaddr pa, unsigned size,
                              const ARMMECWalk *walk, uint64_t data);

/**
 * arm_mec_write_mask: prepare to update a descriptor in RAM
 * @s: device
 * @pa: physical address, aligned to eight bytes
 * @walk: the update, reported as a fetch is
 * @data: the new descriptor as a little endian number
 *
 * Returns what to XOR bytes, as a little endian number, with on their way.
 * The page counts as one that the context of @walk has written.
 */
uint64_t arm_mec_write_mask(ARMMECState *s, hwaddr pa, const ARMMECWalk *walk,
                            uint64_t data);

/**
 * arm_mec_clean: maintenance to the point of encryption
 * @s: device
 * @pa: physical address
 * @space: physical address space
 *
 * RAM holds the page as anybody without a key sees it before the CPU that
 * calls executes its next instruction. Where caches remember, the line of
 * @space has been written back, and the other is so when none of the page is
 * left.
 */
void arm_mec_clean(ARMMECState *s, hwaddr pa, ARMSecuritySpace space);

/**
 * arm_mec_query: who has a page?
 * @s: device
 * @pa: a physical address in the page
 * @mecid: set to the resident context
 * @mixed: set to whether others have written there, too
 *
 * Returns false if the address is not in the RAM that has contexts.
 */
bool arm_mec_query(ARMMECState *s, hwaddr pa, uint16_t *mecid, bool *mixed);

#endif
