/*
 * libqos support for CXL hierarchies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One q35 or virt machine with pxb-cxl -> cxl-rp -> endpoint. Firmware does
 * not run under qtest, so this does its part: it enables the ECAM window,
 * numbers the buses, places the root port's registers and opens the root
 * port's memory window. The endpoint is then an ordinary QPCIDevice (and may
 * be turned into a QVirtioPCIDevice); the 4 KiB configuration space, which
 * libqos's PCI accessors cannot reach with their 8-bit offsets, has accessors
 * here.
 */

#ifndef LIBQOS_CXL_H
#define LIBQOS_CXL_H

#include "pci.h"
#include "virtio-pci.h"

/* What qcxl_new() expects to find on the command line */
#define QCXL_MACHINE        "-machine q35,cxl=on "
/* The same of aarch64's virt machine, and where its RAM is */
#define QCXL_VIRT           ",cxl=on,highmem-ecam=off"
#define QCXL_MACHINE_VIRT   "-cpu max -machine virt,gic-version=3" QCXL_VIRT " "
#define QCXL_VIRT_RAM       0x40000000ull
/* RAM of which devices can keep lines, where the host has such a thing */
#ifdef CONFIG_LINUX
#define QCXL_SHARED_RAM     "-object memory-backend-memfd,id=ram,share=on," \
                            "size=128M -m 128M -machine memory-backend=ram "
#else
#define QCXL_SHARED_RAM     "-m 128M "
#endif
#define QCXL_MEMFD          "memory-backend-memfd"
#define QCXL_BUS_NR         12
#define QCXL_PXB            "-device pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0 "
#define QCXL_RP             "-device cxl-rp,port=0,bus=cxl.0,id=rp0," \
                            "chassis=0,slot=2"
/* A second root port, for qcxl_new_port() */
#define QCXL_RP1            "-device cxl-rp,port=1,bus=cxl.0,id=rp1," \
                            "chassis=0,slot=3"
#define QCXL_MAX_PORTS      4

typedef struct QCXL {
    QTestState *qts;
    int port;
    /* Where the root port is, and where what is below it is */
    QPCIBus port_bus;
    QPCIBus bus;
    QPCIDevice *rp;
    QPCIBar rp_bar;
} QCXL;

/**
 * qcxl_refusal: what an emulator says that does not start
 * @args: devices, behind QCXL_MACHINE and QCXL_PXB
 *
 * Fails unless it exits with status 1. A device that cannot be comes last, so
 * that an emulator which wrongly accepts @args ends as well.
 *
 * Returns: its standard error, to be freed
 */
char *qcxl_refusal(const char *args);

/* Likewise: the test fails unless @message is a part of what it says */
void qcxl_check_refused(const char *args, const char *message);

/**
 * qcxl_new: bring up the hierarchy
 * @qts: a machine started with QCXL_MACHINE, QCXL_PXB and QCXL_RP
 */
QCXL *qcxl_new(QTestState *qts);

/**
 * qcxl_new_port: bring up the hierarchy of one root port of several
 * @qts: a machine whose root ports are the first devices of the pxb-cxl's bus
 * @port: 0 is QCXL_RP, 1 is QCXL_RP1
 *
 * Other functions that take a QCXL are for that root port and its endpoint.
 */
QCXL *qcxl_new_port(QTestState *qts, int port);

/**
 * qcxl_init: (re)do what firmware does
 * @cxl: the hierarchy
 *
 * Needed again after a system reset; addresses that were handed out before
 * are not valid any more.
 */
void qcxl_init(QCXL *cxl);

/**
 * qcxl_bus_init: a QPCIBus whose devices' devfn have the bus in bits 15:8
 * @mmio, @mmio_end: where BARs may be placed
 */
void qcxl_bus_init(QPCIBus *bus, QTestState *qts, uint64_t mmio,
                   uint64_t mmio_end);

/**
 * qcxl_free: forget the hierarchy
 * @cxl: the hierarchy
 */
void qcxl_free(QCXL *cxl);

/**
 * qcxl_endpoint: the device below the root port
 * @cxl: the hierarchy
 *
 * Returns: a new QPCIDevice, or NULL if nothing answers there
 */
QPCIDevice *qcxl_endpoint(QCXL *cxl);

/**
 * qcxl_virtio_endpoint: the device below the root port as virtio device
 * @cxl: the hierarchy
 *
 * Returns: a new QVirtioPCIDevice, or NULL if nothing answers there
 */
QVirtioPCIDevice *qcxl_virtio_endpoint(QCXL *cxl);

/**
 * qcxl_unmask_sbr: write UnmaskSBR of the root port (CXL r3.1 section 8.1.5.2)
 *
 * Returns: what it was
 */
bool qcxl_unmask_sbr(QCXL *cxl, bool on);

/**
 * qcxl_secondary_reset: pulse Secondary Bus Reset of the root port, unmasked
 * @cxl: the hierarchy
 *
 * The endpoint's BARs and command register have to be set up anew.
 */
void qcxl_secondary_reset(QCXL *cxl);

/**
 * qcxl_unplug: device_del, and the guest's answer to it
 * @cxl: the hierarchy
 * @id: the endpoint's id
 */
void qcxl_unplug(QCXL *cxl, const char *id);

/**
 * qcxl_plugged: the guest's answer to device_add
 * @cxl: the hierarchy
 */
void qcxl_plugged(QCXL *cxl);

uint8_t qcxl_readb(QPCIDevice *dev, uint16_t off);
uint16_t qcxl_readw(QPCIDevice *dev, uint16_t off);
uint32_t qcxl_readl(QPCIDevice *dev, uint16_t off);
void qcxl_writeb(QPCIDevice *dev, uint16_t off, uint8_t val);
void qcxl_writew(QPCIDevice *dev, uint16_t off, uint16_t val);
void qcxl_writel(QPCIDevice *dev, uint16_t off, uint32_t val);

/**
 * qcxl_find_ext_cap: walk the extended capability list
 * @dev: the device
 * @id: PCI_EXT_CAP_ID_*
 * @start: 0 to begin, or the last return value to go on
 *
 * Returns: the offset, or 0 if there is no (further) one
 */
uint16_t qcxl_find_ext_cap(QPCIDevice *dev, uint16_t id, uint16_t start);

/**
 * qcxl_find_dvsec: find a DVSEC of the CXL vendor
 * @dev: the device
 * @id: the DVSEC's id
 *
 * Returns: the offset, or 0
 */
uint16_t qcxl_find_dvsec(QPCIDevice *dev, uint16_t id);

/**
 * qcxl_doe: send an object to a DOE mailbox and read the answer
 * @dev: the device
 * @doe: offset of the DOE capability
 * @req: dwords to write, DOE header included
 * @num_req: how many
 * @rsp: where the answer goes
 * @max_rsp: room there, in dwords
 *
 * Returns: length of the answer in dwords, 0 if there is none, -1 if the
 * mailbox reports an error
 */
int qcxl_doe(QPCIDevice *dev, uint16_t doe, const uint32_t *req,
             unsigned num_req, uint32_t *rsp, unsigned max_rsp);

/**
 * qcxl_doe_abort: write the DOE abort bit
 * @dev: the device
 * @doe: offset of the DOE capability
 */
void qcxl_doe_abort(QPCIDevice *dev, uint16_t doe);

/**
 * qcxl_map_memfd: the memory behind a memfd, however the guest maps it
 * @name: of the memfd; QCXL_SHARED_RAM's is QCXL_MEMFD
 * @size: how much of it
 *
 * Returns: a mapping that the emulator knows nothing of
 */
uint8_t *qcxl_map_memfd(QTestState *qts, const char *name, size_t size);

#endif
