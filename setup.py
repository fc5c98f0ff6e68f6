"""Builds the compiled kernels. Without a compiler the library installs all the same and computes with torch."""

from __future__ import annotations

import sys

from setuptools import Extension, setup

# no contraction and no reordering: results must be the same on every processor
FLAGS = [] if sys.platform == "win32" else ["-std=c11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]

setup(
    ext_modules=[
        Extension(
            "modelweave.engine._kernels",
            sources=["src/modelweave/engine/kernels.c"],
            depends=["src/modelweave/engine/kernels_real.h", "src/modelweave/engine/formulas.h"],
            extra_compile_args=FLAGS,
            py_limited_api=True,
            optional=True,
        ),
        Extension(
            "modelweave.outputs.predictions._log_sums",
            sources=["src/modelweave/outputs/predictions/log_sums.c"],
            extra_compile_args=FLAGS,
            py_limited_api=True,
            optional=True,
        ),
    ]
)
