# SPDX-License-Identifier: GPL-2.0-or-later
"""cxl-chart's options."""

import argparse
import collections
import os
import sys

from . import ChartError, fold, msc, perfetto, states
from .live import record
from .parse import read
from .choose import requests, select

LIMIT = 150

DESCRIPTION = '''\
Draw CXL.cache traffic of QEMU as a message sequence chart, out of a file that
QEMU's "log" trace backend has written:

  qemu-system-x86_64 ... -msg timestamp=on -D trace.log \\
      -trace 'cxl_cache_*' -trace 'cxl_type1_crypto_*'
  cxl-chart --list trace.log
  cxl-chart --request 1 --follow -o first.svg trace.log

With -D alone, events can be switched on for a while in the monitor
(trace-event cxl_cache_* on, trace-event-set-state). Lines of other events and
other output are passed over. While messages are traced each of them is sent:
the fast gear is for what nobody looks at.'''

EPILOG = '''\
Choices add up: what is drawn fulfils all of them. A time is counted from the
first event of the trace; --list shows what there is to choose from.

In a chart, arrows in full are messages, broken ones are data, gray ones what
the home must have done with memory, which no message tells. Behind each device
stands what the messages say of the line: its state, or before -> after. A
device stores without a message, so what was E may be M by the next message
about it; a line that the trace does not tell of is in state "?".

Exit status: 0; 1 if there is nothing to draw, or something is missing; 2 for
options that make no sense.'''


def address(text):
    value = int(text, 0)
    if value < 0:
        raise ValueError
    return value


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def add_choices(parser):
    group = parser.add_argument_group('what is drawn (default: everything)')
    group.add_argument('--line', type=address, metavar='ADDR',
                       help='messages about the line at this address')
    group.add_argument('--page', type=address, metavar='ADDR',
                       help='messages about lines of the page of 4 KiB')
    group.add_argument('--request', type=positive, metavar='N',
                       help='from the begin to the end of the N-th request to '
                            'a crypto device (events cxl_type1_crypto_*)')
    group.add_argument('--follow', action='store_true',
                       help='with --request: and how the lines of its result '
                            'come home, until somebody owns them anew')
    group.add_argument('--from', dest='first', metavar='WHEN',
                       help="a message's number, like 120, or a time, like "
                            '1.5ms (s, ms, us)')
    group.add_argument('--to', dest='last', metavar='WHEN')
    group.add_argument('--device', metavar='NAME',
                       help='only messages of this device')


def add_output(parser):
    group = parser.add_argument_group('what is made of it')
    group.add_argument('-o', dest='output', metavar='FILE', default='-',
                       help='the chart, as SVG (default: standard output)')
    group.add_argument('--msc', metavar='FILE',
                       help='instead: the text that mscgen draws it from; - is '
                            'standard output')
    group.add_argument('--perfetto', metavar='FILE',
                       help='instead: a trace for ui.perfetto.dev, with a '
                            'track for each channel')
    group.add_argument('--list', action='store_true',
                       help='instead: the devices, requests, pages and '
                            'messages of the trace')
    group.add_argument('--all', action='store_true',
                       help='draw every message: equal ones about lines of one '
                            'page are one arrow otherwise')
    group.add_argument('--pages', action='store_true',
                       help='one arrow for equal messages of several pages, '
                            'too')
    group.add_argument('--limit', type=positive, metavar='N', default=LIMIT,
                       help=f'how many rows may be drawn (default: {LIMIT})')


def make_parser():
    parser = argparse.ArgumentParser(
        prog='cxl-chart', description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('trace', metavar='TRACE',
                        help='the file; - is standard input')
    add_choices(parser)
    add_output(parser)
    group = parser.add_argument_group('live')
    group.add_argument('--qmp', metavar='SOCKET',
                       help='of a QEMU that was started with -D TRACE: switch '
                            'the events on, for --seconds, and draw what came')
    group.add_argument('--seconds', type=float, metavar='S', default=1)
    return parser


def check(parser, args):
    if args.follow and args.request is None:
        parser.error('--follow goes with --request')
    if args.all and args.pages:
        parser.error('--all and --pages exclude each other')
    if sum(map(bool, (args.msc, args.perfetto, args.list))) > 1 or \
            (args.output != '-' and (args.msc or args.perfetto or args.list)):
        parser.error('-o, --msc, --perfetto and --list exclude each other')
    if args.output == '-' and not (args.msc or args.perfetto or args.list) and \
            sys.stdout.isatty():
        parser.error('SVG is nothing for a terminal: -o FILE.svg')
    if args.qmp and args.trace == '-':
        parser.error("with --qmp, TRACE is the file of QEMU's -D")
    if args.seconds <= 0:
        parser.error('--seconds: more than 0')


def load(args):
    name = os.path.basename(args.trace)
    if args.qmp:
        lines = record(args.qmp, args.trace, args.seconds)
        trace = read(lines, name)
    elif args.trace == '-':
        trace = read(sys.stdin, 'standard input')
    else:
        with open(args.trace, errors='replace') as file:
            trace = read(file, name)
    if trace.unread:
        print(f'cxl-chart: {trace.unread} lines with events of another QEMU, '
              'or parts of lines, are left out', file=sys.stderr)
    if not trace.messages:
        raise ChartError(f'nothing to draw: {name} has no message of CXL.cache '
                         "(QEMU's -trace 'cxl_cache_*' makes such lines)")
    states.follow(trace.seen_by_devices())
    return trace


def chosen(args):
    """What was chosen, for the heading"""
    texts = []
    if args.request is not None:
        texts.append(f'request {args.request}' +
                     (' and what follows' if args.follow else ''))
    if args.line is not None:
        texts.append(f'line {args.line // 64 * 64:#x}')
    if args.page is not None:
        texts.append(f'page {args.page // 4096 * 4096:#x}')
    if args.device:
        texts.append(args.device)
    return ', '.join(texts) + ': ' if texts else ''


# Beside messages that are drawn anyway
BESIDE = ('sent', 'taken', 'llc_access')


def chart(trace, events, args):
    events = [event for event in events if event.kind not in BESIDE]
    steps = fold.unfolded(events) if args.all else \
        fold.fold(events, args.pages)
    if len(steps) > args.limit:
        raise ChartError(
            f'{len(steps)} rows are more than anybody can read: choose less '
            '(--line, --page, --request, --from, --to, --device; --list shows '
            f'what there is){"" if args.all or args.pages else ", --pages"}, '
            'or --limit N')
    return msc.Chart(trace, events).text(steps, chosen(args))


def put(path, text):
    if path == '-':
        sys.stdout.write(text)
        return
    with open(path, 'w') as file:
        file.write(text)


def show_list(trace):
    counts = collections.Counter(
        (event.dev, event.channel, msc.opcode_of(event).split(' to ')[0])
        for event in trace.events if event.channel)
    print(f'{trace.messages} messages')
    for (dev, channel, opcode), count in sorted(counts.items()):
        print(f'  {dev}  {channel:8}  {opcode:20} {count:8}')
    for request in requests(trace.events):
        last = request.end.number - 1 if request.end else 'never ends'
        print(f'request {request.number}: {request.begin.dev}, messages '
              f'{request.begin.number} to {last}')
    pages = collections.Counter(event.page() for event in trace.events
                                if event.channel and event.addr is not None)
    for page, count in sorted(pages.items()):
        print(f'page {page:#x}: {count} messages')


def run(args):
    trace = load(args)
    if args.list:
        show_list(trace)
        return
    events = select(trace, args)
    if args.perfetto:
        perfetto.write(trace, events, args.perfetto)
        return
    text = chart(trace, events, args)
    if args.msc:
        put(args.msc, text)
    else:
        put(args.output, msc.draw(text))


def main(argv=None):
    parser = make_parser()
    args = parser.parse_args(argv)
    check(parser, args)
    try:
        run(args)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ChartError, OSError) as err:
        print(f'cxl-chart: {err}', file=sys.stderr)
        return 1
    return 0
