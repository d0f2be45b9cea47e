/*
 * RAM that is not the same to all who access it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A RAMBlock can have a view: RAM as devices find it, where that is not what
 * the block holds. Whoever accesses memory through an address space, but for
 * vCPUs, whose accesses go by their TLB, and debuggers (attrs.debug), is led to
 * it by system/physmem.c, page by page; the pages that devices find as they are
 * held cost them a look. Memory that has no view costs a load and a branch.
 *
 * A device that keeps a pointer into RAM pins its pages: while they are pinned
 * they are held as devices find them.
 */

#ifndef SYSTEM_RAM_VIEW_H
#define SYSTEM_RAM_VIEW_H

#include "exec/hwaddr.h"
#include "exec/memattrs.h"
#include "qemu/rcu.h"
#include "system/ram_addr.h"
#include "system/ramblock.h"

/* What may be bounced of a view's pages at a time, by an address space */
#define RAM_VIEW_BOUNCE_MAX (16 * 1024 * 1024)

/**
 * RAMView: what a RAMBlock's view does
 *
 * All are called by any thread, in an RCU critical section, with any lock held:
 * they wait for nobody but for other calls of theirs, and do not touch RAM.
 *
 * @io: what devices access in place of RAM
 * @translate: the address in @io of the block's @offset; or false where RAM is
 *             as they find it. @len, in bytes and not 0, is cut to where the
 *             answer changes.
 * @pin: keep pages as devices find them, from now on and all of them; or false
 *       if one is not so. Calls nest.
 * @unpin: no more
 * @read: @buf has @len bytes, aligned to eight, that RAM holds at @offset; make
 *        them what @who, a device, finds there. NULL: nobody is told.
 * @write: @buf has @len bytes, aligned to eight, that @who writes at @offset;
 *         make them what RAM is to hold. Those without a bit in @enable, of
 *         which bit i is byte i, are not written. Returns those that are.
 *
 * Both in the context of @attrs, which is what a gate has said.
 */
typedef struct RAMView RAMView;
struct RAMView {
    MemoryRegion *io;
    bool (*translate)(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                      MemTxAttrs attrs, hwaddr *addr, hwaddr *len);
    bool (*pin)(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                hwaddr len);
    void (*unpin)(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                  hwaddr len);
    void (*read)(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                 void *buf, unsigned len, MemTxAttrs attrs, const char *who);
    uint64_t (*write)(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                      void *buf, unsigned len, uint64_t enable,
                      MemTxAttrs attrs, const char *who);
};

/**
 * ram_view_set: give a block a view, or take it away
 * @rb: the block
 * @view: its view, or NULL
 *
 * To be called with the BQL held. The old one may still be asked until a grace
 * period of RCU has passed, and its @unpin as long as anything is pinned.
 */
void ram_view_set(RAMBlock *rb, RAMView *view);

/**
 * ram_view_user: who accesses RAM by this thread, as far as that is known
 *
 * For messages, by @io of a view. NULL if it is not known.
 */
const AddressSpace *ram_view_user(void);

/**
 * ram_view: a block's view, or NULL
 * @rb: the block, or NULL
 */
static inline RAMView *ram_view(const RAMBlock *rb)
{
    return rb ? qatomic_rcu_read(&rb->view) : NULL;
}

/**
 * ram_view_is_plain: do devices find RAM as it is held?
 * @rb: the block
 * @offset: into it
 * @len: of the range, in bytes
 *
 * Not for ever: see RAMView.pin(). In an RCU critical section.
 */
static inline bool ram_view_is_plain(const RAMBlock *rb, ram_addr_t offset,
                                     hwaddr len)
{
    RAMView *view = ram_view(rb);
    hwaddr addr, n = len;

    return !view || (!view->translate(view, rb, offset, MEMTXATTRS_UNSPECIFIED,
                                      &addr, &n) && n == len);
}

/**
 * AddressSpaceGate: may an address space access RAM?
 *
 * For what checks addresses behind any IOMMU. RAM that is refused is nothing to
 * the device: an error, and zeroes where it has a pointer.
 *
 * @allow: the address is the RAM's in the machine's memory; @len, in bytes and
 *         not 0, is cut to where the answer changes. Called as the functions of
 *         a RAMView are. @as is NULL for a question that is to leave no trace.
 *         @attrs, if it is not NULL, gets the context (space and mecid) under
 *         which the access passes; a space of 0 is the ordinary one
 * @keeps: may RAM that was let pass under @attrs still be accessed so? If not,
 *         and @as is not NULL, something that has been cached so for too long
 *         is told of
 * @lost: a cache has lost what was modified in it under @attrs
 *
 * One that sees no contexts leaves the last two out.
 */
typedef struct AddressSpaceGate AddressSpaceGate;
struct AddressSpaceGate {
    bool (*allow)(AddressSpaceGate *gate, const AddressSpace *as, hwaddr addr,
                  hwaddr *len, MemTxAttrs *attrs);
    bool (*keeps)(AddressSpaceGate *gate, const AddressSpace *as, hwaddr addr,
                  MemTxAttrs attrs);
    void (*lost)(AddressSpaceGate *gate, const AddressSpace *as, hwaddr addr,
                 MemTxAttrs attrs);
};

/**
 * address_space_gate_set: have an address space's accesses to RAM checked
 * @as: address space
 * @gate: who is asked, or NULL for nobody
 *
 * To be called with the BQL held. No pointer that a device has is taken away.
 * The old one may still be asked until a grace period of RCU has passed.
 */
void address_space_gate_set(AddressSpace *as, AddressSpaceGate *gate);

/** address_space_has_gate: is anybody asked? */
static inline bool address_space_has_gate(const AddressSpace *as)
{
    return qatomic_read(&as->gate);
}

/**
 * address_space_gate_allows: may an address space access this RAM?
 * @as: address space
 * @addr: of RAM in the machine's memory
 * @len: of the access in bytes
 * @tell: it is a request, to be counted and told of if it is refused
 * @attrs: gets its context; left as it is where there is no gate
 */
static inline bool address_space_gate_allows(const AddressSpace *as,
                                             hwaddr addr, hwaddr len,
                                             bool tell, MemTxAttrs *attrs)
{
    AddressSpaceGate *gate;
    hwaddr n = len;

    if (likely(!address_space_has_gate(as))) {
        return true;
    }
    RCU_READ_LOCK_GUARD();
    gate = qatomic_rcu_read(&as->gate);
    return !gate || (gate->allow(gate, tell ? as : NULL, addr, &n, attrs) &&
                     n == len);
}

/**
 * address_space_gate_keeps: see AddressSpaceGate.keeps
 * @tell: something was cached for too long, if not
 */
static inline bool address_space_gate_keeps(const AddressSpace *as,
                                            hwaddr addr, MemTxAttrs attrs,
                                            bool tell)
{
    AddressSpaceGate *gate;

    if (likely(!address_space_has_gate(as))) {
        return true;
    }
    RCU_READ_LOCK_GUARD();
    gate = qatomic_rcu_read(&as->gate);
    return !gate || !gate->keeps ||
           gate->keeps(gate, tell ? as : NULL, addr, attrs);
}

/** address_space_gate_lost: see AddressSpaceGate.lost */
static inline void address_space_gate_lost(const AddressSpace *as, hwaddr addr,
                                           MemTxAttrs attrs)
{
    RCU_READ_LOCK_GUARD();
    AddressSpaceGate *gate = qatomic_rcu_read(&as->gate);

    if (gate && gate->lost) {
        gate->lost(gate, as, addr, attrs);
    }
}

#endif /* SYSTEM_RAM_VIEW_H */
