/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where mec-bench is, for both of its parts and for its linker command. */

#define LOADED  0x40100000
#define LINKED  0x41000000
#define MODE    0x40280000      /* 64-bit: what to measure, from the loader */
#define COUNT   0x40280008      /* and how often */
#define MECID   5
