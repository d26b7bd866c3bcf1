"""Run directories: resumable, every byte checked, whatever is computed.

    spec.json         identity of the run, written first
    journal.jsonl     one line per event
    blocks/*.npz      finished blocks, each intact or absent
    provenance.json   versions, commit, machine, flags, command line of every start
    report.html, figures/, result.nc (Dataset), outputs.zip (a copy)
    manifest.json     checksums of the outputs, written last

A run killed at any moment continues from its finished blocks to the same bytes.
Errors: SpecError for an invalid argument or no run; ConflictError for a second writer, another run,
a newer deepinit, or writing to a run opened for reading; DamagedError for changed bytes, or a link
or special file in place of a file; ResourceError for a full disk, no permission or another OSError,
with earlier files untouched.
"""

from deepinit.store.blocks import create_block, finished_blocks, has_block, read_block, write_block
from deepinit.store.canonical import canonical_json, differences, identity_hash
from deepinit.store.journal import append_event, read_journal
from deepinit.store.layout import FORMAT_VERSION, JOURNAL, Run, portable_name
from deepinit.store.locks import writers
from deepinit.store.outputs import is_finalized, write_outputs
from deepinit.store.provenance import collect, export_provenance, write_provenance
from deepinit.store.results import has_result, read_result, result_bytes
from deepinit.store.runs import environment_of as environment
from deepinit.store.runs import has_run, load_run, open_run, writing
from deepinit.store.signals import Stop, stop_on_signals
from deepinit.store.verification import VerifyReport, quarantine_damaged, verify

__all__ = [
    "FORMAT_VERSION",
    "JOURNAL",
    "Run",
    "Stop",
    "VerifyReport",
    "append_event",
    "canonical_json",
    "collect",
    "create_block",
    "differences",
    "environment",
    "export_provenance",
    "finished_blocks",
    "has_block",
    "has_result",
    "has_run",
    "identity_hash",
    "is_finalized",
    "load_run",
    "open_run",
    "portable_name",
    "quarantine_damaged",
    "read_block",
    "read_journal",
    "read_result",
    "result_bytes",
    "stop_on_signals",
    "verify",
    "write_block",
    "write_outputs",
    "write_provenance",
    "writers",
    "writing",
]
