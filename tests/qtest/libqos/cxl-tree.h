/*
 * libqos support for CXL hierarchies with switches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What firmware does for all that is below a pxb-cxl, however deep: buses are
 * numbered, BARs placed, the windows of bridges opened.
 */

#ifndef LIBQOS_CXL_TREE_H
#define LIBQOS_CXL_TREE_H

#include "cxl.h"

/**
 * QCXLNode: a function
 * @bus: number of the bus that it is on
 * @bridge: it is a port, and @secondary the bus below
 * @registers: BAR 0, a port's component registers; no other BAR is placed
 */
typedef struct QCXLNode {
    QPCIDevice *dev;
    uint8_t bus;
    uint8_t slot;
    bool bridge;
    uint8_t secondary;
    QPCIBar registers;
} QCXLNode;

typedef struct QCXLTree {
    QTestState *qts;
    QPCIBus bus;
    QCXLNode node[96];
    unsigned num;
    uint8_t next_bus;
} QCXLTree;

/**
 * qcxl_tree_new: bring up all that is below the machine's pxb-cxl
 * @qts: a machine started with QCXL_MACHINE and QCXL_PXB
 */
QCXLTree *qcxl_tree_new(QTestState *qts);
void qcxl_tree_free(QCXLTree *tree);

/**
 * qcxl_tree_find: what is at @slot of a bus
 *
 * Returns: NULL for nothing
 */
QCXLNode *qcxl_tree_find(QCXLTree *tree, uint8_t bus, uint8_t slot);

/**
 * qcxl_tree_endpoint: the @n'th function that is no bridge, depth first
 */
QCXLNode *qcxl_tree_endpoint(QCXLTree *tree, unsigned n);

/**
 * qcxl_find_cap: look for a capability of CXL.cachemem registers
 * @read: reads a dword of them
 *
 * Returns: offset of the structure, 0 for none
 */
uint16_t qcxl_find_cap(uint32_t (*read)(void *opaque, uint16_t offset),
                       void *opaque, uint16_t id);

#endif
