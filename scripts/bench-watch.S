/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firmware of bench-watch.py: a CPU that loads from eight lines of a page, or
 * stores to them, so often, and then has QEMU end.
 *
 *   gcc -m32 -nostdlib -static -Wl,--build-id=none -Wl,-Ttext=0xff000
 */

#define COUNT           0x7000          /* rounds of eight accesses */
#define KIND            0x7004          /* 0: loads; 1: stores */
#define PAGE            0x1000000
#define EXIT            0xf4

        .text
        .code16
        .globl  _start
_start:
        cli
        lgdtl   %cs:gdt_pointer - _start
        movl    $0x11, %eax
        movl    %eax, %cr0
        ljmpl   $8, $flat

        .code32
flat:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $PAGE, %esi
        movl    (%esi), %eax
        movl    COUNT, %ecx
        cmpl    $0, KIND
        jne     stores
        .balign 16
1:      movl    (%esi), %eax
        movl    64(%esi), %eax
        movl    128(%esi), %eax
        movl    192(%esi), %eax
        movl    256(%esi), %eax
        movl    320(%esi), %eax
        movl    384(%esi), %eax
        movl    448(%esi), %eax
        decl    %ecx
        jnz     1b
        jmp     end

        .balign 16
stores: movl    %ecx, (%esi)
        movl    %ecx, 64(%esi)
        movl    %ecx, 128(%esi)
        movl    %ecx, 192(%esi)
        movl    %ecx, 256(%esi)
        movl    %ecx, 320(%esi)
        movl    %ecx, 384(%esi)
        movl    %ecx, 448(%esi)
        decl    %ecx
        jnz     stores
end:    outl    %eax, $EXIT
        jmp     end

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      /* 8: code, 4 GiB */
        .quad   0x00cf93000000ffff      /* 16: data, 4 GiB */
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt
