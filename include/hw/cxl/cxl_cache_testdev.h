/*
 * CXL.cache test device: its registers
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: nothing that exists. A CXL Type 1 device with a cache
 * (cache_mem_region.h) and registers by which software has it send any D2H
 * request, use the lines that it has, and run short programs of loads and
 * stores on its own, at the same time as the CPUs.
 *
 * This file is the register layout and needs no other header, so that a test
 * in the guest can include it.
 *
 * PCI: 1af4:10f0.
 *   BAR 0  the registers below, 16 KiB
 *   BAR 1  registers of the host's last-level cache, where there is one: see
 *          cxl_cache_llc_regs.h
 *   BAR 2  the slot window, 128 bytes a line: see cache_mem_dev_window()
 *   BAR 4  component registers, as every CXL device has them
 *
 * All registers are little endian and take accesses of 4 and 8 bytes,
 * naturally aligned; those of 8 bytes can be accessed as two halves. What is
 * not listed reads as zero. Addresses are guest physical, behind any IOMMU.
 *
 * QEMU interface:
 *  + -device cxl-cache-testdev,bus=<cxl-rp with cxl-cache=on>
 *  + "cache-size" (size, default 64 KiB), "cache-ways" (default 16)
 *  + Conventional reset stops the agent, brings modified lines home and gives
 *    every register its reset value, 0 but for the read-only ones.
 */

#ifndef HW_CXL_CACHE_TESTDEV_H
#define HW_CXL_CACHE_TESTDEV_H

#define CXL_CACHE_TESTDEV_VENDOR_ID     0x1af4
#define CXL_CACHE_TESTDEV_DEVICE_ID     0x10f0

#define CXL_CACHE_TESTDEV_BAR_REGS      0
#define CXL_CACHE_TESTDEV_BAR_LLC       1
#define CXL_CACHE_TESTDEV_BAR_WINDOW    2
#define CXL_CACHE_TESTDEV_BAR_COMPONENT 4
#define CXL_CACHE_TESTDEV_REGS_SIZE     0x4000

/* ---- Identity and mode ---- */

#define CCT_MAGIC               0x000   /* 32 RO */
#define CCT_MAGIC_VALUE         0x54584343u     /* "CCXT" */
#define CCT_VERSION             0x004   /* 32 RO: 1 */
#define CCT_LINES               0x008   /* 32 RO: of the cache */
/*
 * What the device may do on CXL.cache. Writes of the DVSEC's Cache_Enable and
 * Disable_Caching set this as well; the last write wins.
 */
#define CCT_MODE                0x00c   /* 32 RW */
#define CCT_MODE_OFF            0       /* nothing; snoops are answered */
#define CCT_MODE_ONCE           1       /* requests that leave no line behind */
#define CCT_MODE_ON             2       /* everything */

/*
 * ---- One operation, done before the write of CCT_DOORBELL returns ----
 *
 * On a link with time it brings the link's time forward, all but CCT_DO_POST.
 */

#define CCT_OPCODE              0x010   /* 32 RW: D2H Req opcode, table 3-22 */
#define CCT_FLAGS               0x014   /* 32 RW */
#define CCT_FLAG_NT             (1u << 0)       /* of a request: NT */
#define CCT_FLAG_POISON         (1u << 1)       /* ... data are bad */
#define CCT_FLAG_KEEP           (1u << 2)       /* of CCT_DO_WRITE: as M */
#define CCT_FLAG_THROUGH        (1u << 3)       /* ... nothing is owned */
#define CCT_ADDR                0x018   /* 64 RW: byte address */
#define CCT_BE                  0x020   /* 64 RW: byte enables of CCT_DATA */
#define CCT_LEN                 0x028   /* 32 RW: bytes of CCT_BUF */

#define CCT_DOORBELL            0x02c   /* 32 WO: what to do: */
#define CCT_DO_REQUEST          1       /* CCT_OPCODE; DATA out or in */
#define CCT_DO_LINE_READ        2       /* DATA = line, if it may be read */
#define CCT_DO_LINE_WRITE       3       /* BE of line = DATA, if owned */
#define CCT_DO_LINE_DROP        4       /* forget a clean line */
#define CCT_DO_LINE_EVICT       5       /* give a line up */
#define CCT_DO_LINE_STATE       6       /* just CCT_STATUS */
#define CCT_DO_FLUSH            7       /* write back and invalidate all */
#define CCT_DO_READ             8       /* BUF = LEN bytes at ADDR */
#define CCT_DO_WRITE            9       /* LEN bytes at ADDR = BUF */
/*
 * As CCT_DO_REQUEST, but the write returns when the request has been sent. On a
 * link with time it is under way then, as many others may be: see CCT_POSTS.
 * What it reads is not shown. Nothing is done about what vCPUs have translated
 * of memory that it writes. CCT_RESULT is -EAGAIN or -EBUSY, and nothing is
 * sent, where something under way has to be over first.
 */
#define CCT_DO_POST             10

/*
 * 0, or a negative errno of Linux: -EPERM (-1) the line's state or the mode
 * forbids it, -EIO (-5) failed or (READ, WRITE) poisoned, -EAGAIN (-11) and
 * -EBUSY (-16) ask again, -EACCES (-13) outside "window", -EFAULT (-14) READ or
 * WRITE of what is not RAM, -EINVAL (-22) an argument is out of range.
 */
#define CCT_RESULT              0x030   /* 32 RO, signed */
#define CCT_STATUS              0x034   /* 32 RO: of the line, afterwards */
#define CCT_STATUS_STATE        0xffu
#define CCT_STATE_I             0
#define CCT_STATE_S             1
#define CCT_STATE_E             2
#define CCT_STATE_M             3
#define CCT_STATE_EN            4       /* E, but RdOwnNoData gave no data */
#define CCT_STATUS_FAILED       (1u << 8)       /* GO-Err */
#define CCT_STATUS_POISON       (1u << 9)
/* Protocol errors seen since they were cleared, a bit for a CXLCacheError */
#define CCT_ERRORS              0x038   /* 32 RW1C; set a little later */

/* Requests by CCT_DO_POST: under way; those that have failed, since reset */
#define CCT_POSTS               0x03c   /* 32 RO */
#define CCT_POSTS_OPEN(v)       ((v) & 0xffff)
#define CCT_POSTS_FAILED(v)     ((v) >> 16)

#define CCT_DATA                0x040   /* 64 bytes RW */
#define CCT_DATA_SIZE           64

/* ---- The agent: runs the program, in a thread of its own ---- */

#define CCT_AGENT_CTRL          0x080   /* 32 WO */
#define CCT_AGENT_START         (1u << 0)
/* When the write of this has returned, the agent does nothing any more. */
#define CCT_AGENT_STOP          (1u << 1)

#define CCT_AGENT_STATUS        0x084   /* 32 RO */
#define CCT_AGENT_RUNNING       (1u << 0)
#define CCT_AGENT_DONE          (1u << 1)       /* all iterations */
#define CCT_AGENT_STOPPED       (1u << 2)       /* by STOP, before that */
#define CCT_AGENT_ERROR         (1u << 3)       /* see CCT_AGENT_RESULT */
#define CCT_AGENT_ERROR_STEP(status) (((status) >> 8) & 0xff)
#define CCT_AGENT_STEP_LOG      0xff    /* it was the log, not a step */

#define CCT_AGENT_ITERATIONS    0x088   /* 64 RW: how often; 0 is never */
#define CCT_AGENT_ITERATION     0x090   /* 64 RO: how many are complete */
/* How often a step began anew because a snoop took the line in between */
#define CCT_AGENT_RETRIES       0x098   /* 64 RO */
/* How often a WAIT looked in vain */
#define CCT_AGENT_POLLS         0x0a0   /* 64 RO */
/*
 * The log. After iteration i the registers 0 to LOG_REGS - 1 are written, 8
 * bytes each, to LOG + i * LOG_REGS * 8, by WrInv. LOG is 8-byte aligned.
 */
#define CCT_AGENT_LOG           0x0a8   /* 64 RW */
#define CCT_AGENT_LOG_REGS      0x0b0   /* 32 RW: 0 to 8; 0 is no log */
#define CCT_AGENT_RESULT        0x0b4   /* 32 RO, signed: why ERROR is set */

#define CCT_AGENT_REG(n)        (0x0c0 + 8 * (n))       /* 64 RW */
#define CCT_AGENT_NUM_REGS      8

/*
 * Registers above and the program can be written while the agent is not
 * running; STATUS, ITERATION, RETRIES and POLLS start at 0 with START, the
 * REGs as they are. While it runs, reads show REGs as of the last complete
 * iteration.
 */

/*
 * The program: steps from the first to the one before the first END.
 * A step acts on
 *
 *   address = ADDR + (i % WRAP) * STRIDE    (i * STRIDE where WRAP is 0)
 *   operand = VALUE + 0, i or REG[src]      (by CCT_STEP_OPERAND)
 *
 * where i is the number of the iteration, from 0. SIZE bytes at the address,
 * naturally aligned: 1, 2, 4 or 8. Values are little endian in memory, loaded
 * without sign; what does not fit in SIZE is cut off.
 */
#define CCT_STEP(n)             (0x100 + 0x20 * (n))    /* 32 bytes RW */
#define CCT_NUM_STEPS           16

#define CCT_STEP_OP(n)          (CCT_STEP(n) + 0x00)    /* 32: fields below */
#define CCT_STEP_STRIDE(n)      (CCT_STEP(n) + 0x04)    /* 32 */
#define CCT_STEP_ADDR(n)        (CCT_STEP(n) + 0x08)    /* 64 */
#define CCT_STEP_VALUE(n)       (CCT_STEP(n) + 0x10)    /* 64 */
#define CCT_STEP_WRAP(n)        (CCT_STEP(n) + 0x18)    /* 32 */

#define CCT_STEP_MAKE(op, how, size, operand, reg, src)                 \
    ((op) | (how) << 4 | (size) << 12 | (operand) << 16 | (reg) << 20 | \
     (src) << 24)
#define CCT_STEP_GET_OP(v)      ((v) & 0xf)
#define CCT_STEP_GET_HOW(v)     (((v) >> 4) & 0xff)
#define CCT_STEP_GET_SIZE(v)    (((v) >> 12) & 0xf)
#define CCT_STEP_GET_OPERAND(v) (((v) >> 16) & 0xf)
#define CCT_STEP_GET_REG(v)     (((v) >> 20) & 0xf)
#define CCT_STEP_GET_SRC(v)     (((v) >> 24) & 0xf)
#define CCT_STEP_RSVD           0xf0000000u     /* must be 0 */

/* Operands */
#define CCT_CONST               0       /* VALUE */
#define CCT_ITER                1       /* VALUE + i */
#define CCT_REG                 2       /* VALUE + REG[src] */

/*
 * Operations; "how" is the D2H opcode to do it by, one of those listed. A line
 * that the cache has already, in a state that will do, is used as it is. A
 * line that stands in the way of the opcode is evicted first.
 */
#define CCT_OP_END              0
/* REG[reg] = memory; by RdCurr (0x01), RdOwn, RdShared or RdAny (02 to 04) */
#define CCT_OP_LOAD             1
/*
 * Memory = operand. By RdOwn (0x02): own the line, then write it in the cache,
 * from the start if a snoop took the line in between; where the host lets
 * nobody keep the line, by WrInv. By WrInv (0x0e) or WOWrInv (0x0c): those
 * bytes. By RdOwnNoData (0x05), ItoMWr (0x06), WrCur (0x07) or WOWrInvF
 * (0x0d): the whole line, that is SIZE is 8 and all eight words of the line
 * become the operand.
 */
#define CCT_OP_STORE            2
/*
 * REG[reg] = memory; memory += operand: a read-modify-write under ownership,
 * by RdOwn (0x02). From the start if a snoop took the line before the write.
 * An error where the host lets nobody keep the line.
 */
#define CCT_OP_ADD              3
/* Load until memory == operand; "how" as for LOAD; REG[reg] = memory */
#define CCT_OP_WAIT_EQ          4
/* ... memory != operand */
#define CCT_OP_WAIT_NE          5
/* ... memory >= operand, unsigned */
#define CCT_OP_WAIT_GE          6
/* Give the line up, if the cache has it; how 0 */
#define CCT_OP_EVICT            7
/* Have the line written back everywhere, by CLFlush (0x08) */
#define CCT_OP_FLUSH            8
/* Do nothing for operand nanoseconds, an hour at most; how 0; no address */
#define CCT_OP_DELAY            9
/*
 * As STORE, by WrInv (0x0e), WOWrInv (0x0c), ItoMWr (0x06), WrCur (0x07) or
 * WOWrInvF (0x0d), but complete when the request has been sent. On a link with
 * time it is under way then: others may see what the next steps do before this.
 * Of what vCPUs have translated it is as with CCT_DO_POST.
 */
#define CCT_OP_POST             10
/* Until all that was posted is over, by the doorbell, too; how 0; no address */
#define CCT_OP_JOIN             11
#define CCT_NUM_OPS             12

/*
 * An example: 1000 times, store i + 1 at x by ownership, then load y.
 *
 *   STEP_OP(0) = MAKE(CCT_OP_STORE, 0x02, 8, CCT_ITER, 0, 0)
 *   STEP_ADDR(0) = x, STEP_VALUE(0) = 1
 *   STEP_OP(1) = MAKE(CCT_OP_LOAD, 0x01, 8, CCT_CONST, 0, 0)
 *   STEP_ADDR(1) = y
 *   STEP_OP(2) = CCT_OP_END
 *   AGENT_ITERATIONS = 1000, AGENT_CTRL = CCT_AGENT_START
 *
 * Each step but POST is complete, every GO is in, before the next one begins.
 * On a link with time it takes as long as its messages do. With icount it takes
 * 100 ns at least, and programs go by the machine's clock.
 */

/* ---- The buffer of CCT_DO_READ and CCT_DO_WRITE ---- */

#define CCT_BUF                 0x2000  /* 8 KiB RW */
#define CCT_BUF_SIZE            0x2000

#endif /* HW_CXL_CACHE_TESTDEV_H */
