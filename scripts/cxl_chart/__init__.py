# SPDX-License-Identifier: GPL-2.0-or-later
"""CXL.cache traffic of a QEMU trace, drawn; see cxl-chart --help."""


class ChartError(Exception):
    """What the user has to be told"""
