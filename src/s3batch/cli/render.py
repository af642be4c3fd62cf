"""Jobs as people read them: the plan, the summary, the list. Pure; lines of plain text come out.

A summary answers, in this order: what was asked and how it ended, how many objects and bytes, what failed or was kept
and why, what remains at a move's source, where the files are, and what to type next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from s3batch.cli.render_estimate import bill_text, estimate_texts
from s3batch.control.standing import Standing, due_job, standing_of
from s3batch.control.views import source_of, target_of
from s3batch.ledger.records import Event, Job
from s3batch.model.job import Operation, Plan
from s3batch.model.outcome import Code
from s3batch.model.status import TERMINAL, JobStatus
from s3batch.report.advice import advice
from s3batch.report.text import count_text, duration_text, moment_text, size_text, table_lines, visible

SHORT_ID = 8
"""Characters of an id in lists: enough to ask by as long as no other id begins so."""

SUCCESS_CODES = frozenset(
    {
        Code.ALREADY_COPIED,
        Code.ALREADY_SAME,
        Code.SKIPPED,
        Code.ALREADY_GONE,
        Code.ALREADY_UNDONE,
        Code.NOT_DELETED,
    }
)
"""Codes of tasks that succeeded in a special way."""

_DONE_WORD = {
    Operation.COPY: "copied",
    Operation.VERIFY: "proven",
    Operation.DELETE: "deleted",
    Operation.UNDO: "undone",
}
_LABEL_WIDTH = 9
_SHOWN_SHA256 = 16
_SAMPLES = 3


def plan_lines(job: Job) -> list[str]:
    """Return what a job is going to do."""
    plan = job.plan
    if plan is None:
        return [f"The {job.operation} job {job.id} has no plan yet."]
    lines = [f"Plan of the {job.operation} job {job.id}", *_route(job)]
    size = f"{count_text(plan.entries, 'object')}, {size_text(plan.bytes)}"
    largest = f"; the largest has {size_text(plan.largest_bytes)}" if plan.entries > 1 else ""
    lines.append(_labelled("objects", f"{size}, in {count_text(plan.chunks, 'chunk')}{largest}"))
    for source, target in plan.examples[:_SAMPLES]:
        lines.append(_labelled("example", visible(f"{source}  ->  {target}" if target else source)))
    if plan.multipart and job.operation is Operation.COPY:
        lines.append(_labelled("in parts", f"{count_text(plan.multipart, 'object')} copied in parallel parts"))
    if plan.duplicates:
        lines.append(_labelled("dropped", f"{count_text(plan.duplicates, 'row')} that named an object again"))
    if plan.requests:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in plan.requests.items())
        lines.append(_labelled("requests", f"about {sum(plan.requests.values()):,}: {kinds}"))
    if plan.estimate is not None:
        lines += [_labelled(label, visible(text)) for label, text in estimate_texts(plan.estimate, job.operation)]
    lines += _condition_lines(job, plan)
    if plan.missing_examples:
        lines.append(_labelled("missing", visible(", ".join(plan.missing_examples))))
    return lines


def _condition_lines(job: Job, plan: Plan) -> list[str]:
    """Return what the job rests on and waits for, and what is to be known about it."""
    lines = []
    if job.operation is Operation.COPY:
        lines.append(_labelled("proof", _proof_text(plan)))
    if job.spec.hold_s is not None:
        lines.append(_labelled("hold", f"waits {duration_text(job.spec.hold_s)} before it begins"))
    if plan.manifest_sha256:
        lines.append(_labelled("manifest", f"SHA-256 {plan.manifest_sha256[:_SHOWN_SHA256]}..."))
    notes = () if plan.estimate is None else plan.estimate.notes
    return lines + [_labelled("note", visible(warning)) for warning in (*plan.warnings, *notes)]


def summary_lines(jobs: Sequence[Job]) -> list[str]:
    """Return what happened in a job, or in the linked jobs of a move."""
    lines = [_headline(jobs), *_route(jobs[0])]
    for job in jobs:
        lines.append(_labelled(_step_name(job, jobs), _result_text(job)) if len(jobs) > 1 else f"  {_result_text(job)}")
        if job.failure_reason is not None:
            lines.append(_labelled("reason", visible(job.failure_reason)))
    for job in _with_own_codes(jobs):
        lines += _code_lines(job)
    for job in jobs:
        lines += [*_remaining_lines(job), *_extra_lines(job)]
    lines += [_labelled("cost", text) for text in bill_text(jobs)]
    lines += _file_lines(jobs)
    lines += [_labelled("next", step) for step in next_steps(jobs)]
    return lines


def report_lines(jobs: Sequence[Job]) -> list[str]:
    """Return where the files of the jobs are, and what remains at a move's source."""
    return [*_file_lines(jobs), *(line for job in jobs for line in (*_remaining_lines(job), *_extra_lines(job)))]


def next_steps(jobs: Sequence[Job]) -> list[str]:
    """Return what to type next."""
    job = due_job(jobs)
    name = job.move_id if job.move_id is not None and len(jobs) > 1 else job.id
    match standing_of(jobs):
        case Standing.UNDER_WAY:
            return [f"s3batch jobs watch {name}"]
        case Standing.PAUSED:
            return [f"s3batch jobs resume {name}"]
        case Standing.WAITS_FOR_CONFIRMATION:
            number = _plan_options(job) if job.operation is Operation.DELETE else ""
            return [f"s3batch jobs confirm {name}{number}    (or: s3batch jobs cancel {name})"]
        case Standing.ENDED:
            return _after_end(jobs, name)


def _plan_options(job: Job) -> str:
    """Return the options that bind a confirmation to this plan; the number of unproven ones is for people to find."""
    number = "N" if job.spec.delete.unverified else str(job.total)
    sha256 = "" if job.plan is None else job.plan.manifest_sha256[:_SHOWN_SHA256]
    return f" --objects {number}" + (f" --manifest-sha256 {sha256}" if sha256 else "")


def list_lines(jobs: Sequence[Job]) -> list[str]:
    """Return the table of jobs, in the order given."""
    heads = ("JOB", "MOVE", "OPERATION", "STATUS", "DONE", "OBJECTS", "FAILED", "KEPT", "BYTES", "CREATED", "WHAT")
    rows = [
        (
            job.id[:SHORT_ID],
            (job.move_id or "")[:SHORT_ID],
            str(job.operation),
            str(job.status),
            share_text(job.counts.ended, job.total),
            f"{job.total:,}",
            f"{job.failed:,}",
            f"{job.kept:,}",
            size_text(job.bytes_total),
            moment_text(job.created_at_ms),
            visible(_what(job)),
        )
        for job in jobs
    ]
    return table_lines(heads, rows, right=frozenset({4, 5, 6, 7, 8}))


def event_lines(events: Sequence[Event]) -> list[str]:
    """Return what happened to a job, one line an event."""
    return [f"  {moment_text(event.at_ms)}  {_event_text(event)}" for event in events]


def hold_text(job: Job) -> str:
    """Return until when a job on hold waits."""
    return f"on hold until {moment_text(job.held_until_ms or 0)}"


def share_text(done: int, total: int) -> str:
    """Return per cent, rounded down so that 100 % means all; nothing where there is nothing yet."""
    return f"{100 * done // total}%" if total else ""


def _is_of_backup(job: Job, jobs: Sequence[Job]) -> bool:
    """Tell whether a job of several is about the backup: its copies go elsewhere than those that the delete needs."""
    return job.spec.mapping != jobs[-1].spec.mapping


def _step_name(job: Job, jobs: Sequence[Job]) -> str:
    return "backup" if _is_of_backup(job, jobs) else str(job.operation)


def _headline(jobs: Sequence[Job]) -> str:
    job = due_job(jobs)
    if len(jobs) > 1 and jobs[0].move_id is not None:
        return f"Move {jobs[0].move_id}: {job.operation} is {job.status}"
    ids = " and ".join(each.id for each in jobs)
    return f"{str(job.operation).capitalize()} {ids}: {job.status}"


def _route(job: Job) -> list[str]:
    spec = job.spec
    of_job = spec.source.job_id
    lines = [_labelled("from", visible(source_of(spec)))]
    target = target_of(spec)
    if job.operation is Operation.DELETE:
        proven = "named by" if spec.delete.unverified else "proven by"
        what = "for good: the versions" if spec.delete.permanent else "the objects"
        lines = [_labelled("deletes", f"{what} {proven} {visible(source_of(spec))}")]
        lines += [] if target is None else [_labelled("copies", f"stay below {visible(target)}")]
        if spec.delete.backup_job_id is not None:
            lines.append(_labelled("backup", f"only what job {spec.delete.backup_job_id} proved there is deleted"))
    elif job.operation is Operation.UNDO:
        lines = [_labelled("undoes", f"the delete markers of {visible(source_of(spec))}")]
    elif target is not None and of_job is not None:
        lines = [_labelled("of", f"job {of_job}"), _labelled("to", visible(target))]
    elif target is not None:
        stripped = spec.mapping.strip_prefix if spec.mapping is not None else ""
        without = f"  (without {stripped})" if stripped and spec.source.list_prefix != stripped else ""
        lines.append(_labelled("to", visible(target + without)))
    if spec.source.filter:
        asked = ", ".join(f"{name} {value}" for name, value in spec.source.filter.items())
        lines.append(_labelled("only", visible(asked)))
    if spec.connection.endpoint_url:
        lines.append(_labelled("store", visible(spec.connection.endpoint_url)))
    if job.description:
        lines.append(_labelled("about", visible(job.description)))
    return lines


def _result_text(job: Job) -> str:
    counts = job.counts
    if job.status is JobStatus.CANCELLED and not counts.ended:
        return "Cancelled before it began"
    if job.plan_json is None:
        return str(job.status)
    if not counts.ended and job.status not in TERMINAL:
        waits = f"{hold_text(job)}, then all is verified again" if job.is_on_hold else "nothing is done yet"
        return f"{job.status}: {count_text(counts.total, 'object')}, {size_text(job.bytes_total)}; {waits}"
    figures = [f"{counts.succeeded:,} {_DONE_WORD[job.operation]}"]
    # A delete may keep sources with the codes of findings; only a verify job's failed tasks are findings.
    findings = counts.findings if job.operation is Operation.VERIFY else 0
    if findings:
        figures.append(f"{findings:,} not proven")
    if other := counts.failed - findings:
        figures.append(f"{other:,} failed")
    if counts.kept:
        figures.append(f"{counts.kept:,} kept")
    if left := counts.total - counts.ended:
        figures.append(f"{left:,} not done")
    text = f"{job.status}: {', '.join(figures)} of {count_text(counts.total, 'object')}, {size_text(job.bytes_done)}"
    if job.active_ms and counts.ended:
        seconds = job.active_ms / 1000
        rates = [f"{counts.ended / seconds:,.0f} objects/s"]
        if job.bytes_done and job.operation is Operation.COPY:
            rates.append(f"{size_text(job.bytes_done / seconds)}/s")
        text += f", in {duration_text(seconds)} ({', '.join(rates)})"
    return text


def _proof_text(plan: Plan) -> str:
    others = plan.entries - plan.decidable_by_etag
    if not others:
        return "equal ETags can prove all copies"
    return (
        f"equal ETags can be expected for {plan.decidable_by_etag:,} of {plan.entries:,};"
        f" {count_text(others, 'object')} may need --level checksum or bytes"
    )


def _with_own_codes(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs whose codes are told; a delete repeats what verify found, so it speaks for both."""
    told = [job for job in jobs if job.by_code_json != "{}"]
    delete = next((job for job in told if job.operation is Operation.DELETE and job.status in TERMINAL), None)
    return [job for job in told if not (delete is not None and job.operation is Operation.VERIFY)]


def _code_lines(job: Job) -> list[str]:
    lines = []
    samples_by_code = cast("Mapping[str, Sequence[Mapping[str, Any]]]", (job.report or {}).get("samples") or {})
    for code, count in sorted(job.counts.by_code.items(), key=lambda pair: (pair[0] in SUCCESS_CODES, -pair[1])):
        lines.append(_labelled(f"{count:,} x", f"{visible(code)} ({job.operation}): {advice(code)}"))
        if code in SUCCESS_CODES:
            continue
        for sample in list(samples_by_code.get(code, ()))[:_SAMPLES]:
            message = f"  ({sample['message']})" if sample.get("message") else ""
            lines.append(_labelled("", visible(f"  {sample['uri']}{message}")))
    return lines


def _remaining_lines(job: Job) -> list[str]:
    remaining = cast("Mapping[str, Any]", (job.report or {}).get("remaining") or {})
    if not remaining:
        return []
    if not remaining["entries"]:
        return [_labelled("source", "is empty: it was listed after the deletes")]
    others = int(remaining["not_in_manifest"])
    named = int(remaining["entries"]) - others
    lines = [
        _labelled(
            "source",
            f"still has {count_text(int(remaining['entries']), 'object')}: {named:,} of this move (failed, kept or"
            f" written again), {others:,} that it never named; the list is {visible(str(remaining['manifest']))}",
        )
    ]
    return lines + [_labelled("", visible(f"  {example}")) for example in remaining["not_in_manifest_examples"]]


def _extra_lines(job: Job) -> list[str]:
    extra = cast("Mapping[str, Any]", (job.report or {}).get("extra") or {})
    if not extra:
        return []
    if not extra["entries"]:
        return [_labelled("target", "has nothing that no entry explains: it was listed after the comparison")]
    found = f"{count_text(int(extra['entries']), 'object')}, {size_text(int(extra['bytes']))}"
    text = f"has {found}, that no entry explains; the list is {visible(str(extra['manifest']))}"
    return [_labelled("target", text), *(_labelled("", visible(f"  {example}")) for example in extra["examples"])]


def _file_lines(jobs: Sequence[Job]) -> list[str]:
    """Return where the reports are, and the newest old -> new mapping."""
    lines, mapping = [], None
    for job in jobs:
        report = job.report or {}
        if report.get("uri"):
            lines.append(_labelled("report", visible(f"{report['uri']}  ({job.operation})")))
        if not _is_of_backup(job, jobs):
            mapping = cast("Mapping[str, Any] | None", report.get("mapping")) or mapping
    if mapping is not None:
        lines.append(_labelled("old->new", visible(str(mapping["csv"]))))
    return lines


def _after_end(jobs: Sequence[Job], name: str) -> list[str]:
    job = jobs[-1]
    failed = any(each.failed or each.kept for each in jobs)
    if any(each.status in (JobStatus.FAILED, JobStatus.CANCELLED) for each in jobs):
        stopped = next(each for each in jobs if each.status in (JobStatus.FAILED, JobStatus.CANCELLED))
        return [f"s3batch jobs show {stopped.id}"] + ([f"s3batch jobs report {stopped.id} --failed"] if failed else [])
    if failed and job.operation is Operation.UNDO:
        return [f"s3batch jobs report {name} --failed", f"s3batch jobs undo {job.spec.source.job_id}"]
    if failed:
        return [f"s3batch jobs report {name} --failed", f"s3batch jobs retry {name}"]
    if job.operation is Operation.COPY:
        return [f"s3batch verify --job {job.id}"]
    if job.operation is Operation.VERIFY:
        return [f"s3batch delete --job {job.id}    (deletes the proven originals)"]
    return []


def _what(job: Job) -> str:
    source, target = job.spec.source, target_of(job.spec)
    origin = source_of(job.spec) if source.job_id is None else f"job {source.job_id[:SHORT_ID]}"
    if job.is_on_hold:
        origin = f"{hold_text(job)}: {origin}"
    return origin if target is None or job.operation is Operation.DELETE else f"{origin} -> {target}"


def _event_text(event: Event) -> str:
    detail = event.detail
    match event.kind:
        case "status":
            reason = f": {visible(str(detail['reason']))}" if detail.get("reason") else ""
            text = f"{detail['from']} -> {detail['to']}{reason}"
        case "acquired":
            text = f"taken by a runner on {visible(str(detail['host']))}"
        case "released":
            text = "let go by its runner"
        case "held":
            text = f"on hold until {moment_text(int(str(detail['until_ms'])))}"
        case "confirmed":
            text = _confirmed_text(event)
        case "planned":
            text = f"planned: {detail['entries']:,} objects, {detail['bytes']:,} bytes, {detail['chunks']:,} chunks"
        case _:
            text = _any_event_text(event)
    return text


def _any_event_text(event: Event) -> str:
    detail = event.detail
    told = ", ".join(f"{name} {visible(str(value))}" for name, value in detail.items() if value is not None)
    return f"{event.kind}" + (f": {told}" if told else "")


def _confirmed_text(event: Event) -> str:
    detail = event.detail
    who = f"confirmed by {visible(event.actor)}, {visible(str(detail.get('how') or 'without a word how'))}"
    if "objects" not in detail:
        return who
    return f"{who}: {detail['objects']:,} objects, manifest {str(detail['manifest_sha256'])[:_SHOWN_SHA256]}"


def _labelled(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}} {text}".rstrip()
