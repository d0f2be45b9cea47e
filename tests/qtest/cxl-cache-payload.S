/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firmware of cxl-cache-accel-test: each CPU does for the test what its
 * mailbox says, one command at a time.
 *
 * cxl-cache-payload.h holds what this assembles to, linked at 0xff000:
 *   gcc -m32 -nostdlib -static -Wl,--build-id=none -Wl,-Ttext=0xff000 \
 *       -o payload.elf cxl-cache-payload.S
 *   objcopy -O binary -j .text payload.elf payload.bin
 *
 * It is in the last page below 1 MiB, so that the first CPU gets here by a
 * jump from the reset vector, and the others by the vector of a startup IPI.
 */

#define CPUS            0x7f000         /* how many have been here */
#define BOX             0x80000         /* mailboxes, a page for each CPU */

/* A mailbox, 32-bit words; the test writes the command last */
#define BOX_COMMAND     0x00            /* 0: done */
#define BOX_ADDRESS     0x04
#define BOX_VALUE       0x08
#define BOX_COUNT       0x0c
#define BOX_ALIVE       0x10
#define BOX_LINE        0x40            /* what LOAD_LINE has loaded */
#define BOX_STACK       0x1000          /* grows down to it from here */

#define LINE_WORDS      16

#define APIC_SPURIOUS   0xfee000f0
#define APIC_ENABLE     0x1ff
#define APIC_COMMAND    0xfee00300
#define APIC_INIT       0xc4500         /* to all others */
#define APIC_STARTUP    0xc46ff         /* ... at 0xff000 */

        .text
        .code16
        .globl  _start
_start:
        cli
        lgdtl   %cs:gdt_pointer - _start
        movl    $0x11, %eax             /* protected mode, caches on */
        movl    %eax, %cr0
        ljmpl   $8, $flat

        .code32
flat:
        cld
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $1, %eax
        lock xaddl %eax, CPUS
        movl    %eax, %ebx
        shll    $12, %ebx
        addl    $BOX, %ebx
        leal    BOX_STACK(%ebx), %esp
        movl    $1, BOX_ALIVE(%ebx)
        testl   %eax, %eax
        jnz     next

        movl    $APIC_ENABLE, APIC_SPURIOUS
        movl    $APIC_INIT, APIC_COMMAND
        movl    $1000000, %ecx
1:      pause
        loop    1b
        movl    $APIC_STARTUP, APIC_COMMAND

next:
        pause
        movl    BOX_COMMAND(%ebx), %eax
        testl   %eax, %eax
        jz      next
        movl    BOX_ADDRESS(%ebx), %edi
        movl    BOX_VALUE(%ebx), %edx
        movl    BOX_COUNT(%ebx), %ecx
        cmpl    $(commands_end - commands) / 4, %eax
        ja      done
        jmp     *commands - 4(, %eax, 4)
done:
        movl    %edx, BOX_VALUE(%ebx)
        movl    $0, BOX_COMMAND(%ebx)
        jmp     next

        .balign 4
commands:
        .long   load_line, store, add, compare_and_exchange, count, call
commands_end:

load_line:
        movl    %edi, %esi
        leal    BOX_LINE(%ebx), %edi
        movl    $LINE_WORDS, %ecx
        rep movsl
        jmp     done

store:  movl    %edx, (%edi)
        jmp     done

/* Add 1, COUNT times */
add:    movl    $1, %eax
        lock xaddl %eax, (%edi)
        loop    add
        jmp     done

compare_and_exchange:
        movl    (%edi), %eax
        leal    1(%eax), %esi
        lock cmpxchgl %esi, (%edi)
        jnz     compare_and_exchange
        loop    compare_and_exchange
        jmp     done

/*
 * Add 1, COUNT times, to what nobody else writes; VALUE: how often it was not
 * what had been stored before
 */
count:
        xorl    %edx, %edx
        movl    (%edi), %eax
1:      cmpl    %eax, (%edi)
        je      2f
        incl    %edx
2:      incl    %eax
        movl    %eax, (%edi)
        loop    1b
        jmp     done

/* VALUE: what the function at ADDRESS returns, the COUNTth time */
call:   call    *%edi
        loop    call
        movl    %eax, %edx
        jmp     done

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      /* 8: code, 4 GiB */
        .quad   0x00cf93000000ffff      /* 16: data, 4 GiB */
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt
