"""Facts -> the HTML of the status page. Pure: names come from outside, so every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from bot.status.charts import bar, line
from bot.status.facts import Facts, Job, JobState, Opinions, ProjectFacts
from bot.status.tables import table
from bot.status.texts import STATUS_TEXTS
from bot.status.trainings import Trainings
from bot.texts import TEXTS
from engine.lifecycle import RegisteredAdapter
from engine.wire import Language

_MOST_ADAPTERS = 12


class Page:
    """The page in one language."""

    def __init__(self, facts: Facts, language: Language, gitlab_url: str) -> None:
        self._facts = facts
        self._language = language
        self._texts = STATUS_TEXTS[language]
        self._trainings = Trainings(language)
        self._gitlab_url = gitlab_url.rstrip("/")
        self._paths = {project.id: project.path for project in facts.projects}

    def html(self) -> str:
        """Return the whole page."""
        texts, facts = self._texts, self._facts
        other = Language.EN if self._language is Language.JA else Language.JA
        away = f'<p class="warning" role="status">{escape(texts.engine_away)}</p>'
        return f"""<!doctype html>
<html lang="{self._language}"><head><meta charset="utf-8"><title>{escape(texts.title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="stylesheet" href="/status.css">
<link rel="icon" href="data:,"></head>
<body><a class="skip" href="#main">{escape(texts.skip)}</a>
<header><h1>{escape(texts.title)}</h1>
<p>{escape(texts.as_of).format(time=_time(facts.at))}</p>
<nav><a href="/status?lang={self._language}">{escape(texts.refresh)}</a>
<a href="/status?lang={other}" lang="{other}" hreflang="{other}">{escape(texts.other_language)}</a>
</nav></header>
<main id="main" tabindex="-1">{"" if facts.engine_answers else away}
{self._tiles()}
{self._workers()}
{self._jobs("open", texts.open_jobs, facts.open, texts.no_open_jobs)}
{self._jobs("finished", texts.finished_jobs, facts.finished, texts.no_finished_jobs)}
{"".join(map(self._project, facts.projects)) or f"<section><p>{escape(texts.no_projects)}</p></section>"}
</main></body></html>
"""

    def _tiles(self) -> str:
        texts, facts = self._texts, self._facts
        numbers = (
            (texts.running, str(facts.count(JobState.RUNNING))),
            (texts.waiting, str(facts.count(JobState.WAITING))),
            (texts.done_today, str(facts.ended_today(JobState.DONE))),
            (texts.failed_today, str(facts.ended_today(JobState.FAILED))),
            (texts.review_time, self._duration(facts.review_seconds)),
        )
        tiles = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in numbers)
        return (
            f'<section aria-label="{escape(texts.summary)}"><dl class="tiles">{"".join(tiles)}</dl></section>'
        )

    def _workers(self) -> str:
        texts = self._texts
        rows = []
        for name, seconds in sorted(self._facts.workers.items()):
            alive = seconds < self._facts.silent_seconds
            said = (texts.worker_alive if alive else texts.worker_silent).format(seconds=round(seconds))
            state = "alive" if alive else "silent"
            rows.append(f'<li class="{state}"><code>{escape(name)}</code> {escape(said)}</li>')
        return self._section("workers", texts.workers, f'<ul class="workers">{"".join(rows)}</ul>')

    def _jobs(self, name: str, title: str, jobs: Sequence[Job], none: str) -> str:
        if not jobs:
            return self._section(name, title, f"<p>{escape(none)}</p>")
        return self._section(name, title, table(self._texts.columns, map(self._job, jobs), title))

    def _job(self, job: Job) -> Sequence[str]:
        texts = self._texts
        what = f"{texts.kind.get(job.kind, job.kind)} {texts.reason.get(job.what, job.what)}"
        return (
            escape(what.strip()),
            self._merge_request(job),
            f'<span class="state {job.state}">{escape(texts.state[job.state])}</span>',
            escape(job.worker),
            _time(job.created),
            escape(self._duration(job.seconds)),
        )

    def _merge_request(self, job: Job) -> str:
        if job.project_id is None or job.iid is None:
            return ""
        path = self._paths.get(job.project_id)
        if path is None:
            return f"{job.project_id}!{job.iid}"
        url = f"{self._gitlab_url}/{path}/-/merge_requests/{job.iid}"
        return f'<a href="{escape(url)}" rel="noreferrer">{escape(path)}!{job.iid}</a>'

    def _project(self, project: ProjectFacts) -> str:
        texts = self._texts
        body = f"<h3>{escape(texts.feedback)}</h3>{self._feedback(project)}"
        body += self._trainings.under_way(project)
        body += (
            f"<h3>{escape(texts.adapters)}</h3>{self._adapters(project)}{self._trainings.finished(project)}"
        )
        return self._section(f"project-{project.id}", f"{texts.project} {project.path}", body)

    def _feedback(self, project: ProjectFacts) -> str:
        texts, opinions = self._texts, project.opinions
        if opinions is None:
            return f"<p>{escape(texts.feedback_unknown)}</p>"
        if not opinions.total:
            return f"<p>{escape(texts.no_feedback)}</p>"
        said = texts.useful.format(percent=round(100 * opinions.good_share), count=opinions.total)
        parts = [(verdict, count) for verdict in texts.verdict if (count := opinions.counts.get(verdict, 0))]
        legend = "".join(
            f'<li class="{verdict}">{escape(texts.verdict[verdict])}: {count}</li>'
            for verdict, count in parts
        )
        return f'<p>{escape(said)}</p>{bar(parts, said)}<ul class="legend">{legend}</ul>'

    def _adapters(self, project: ProjectFacts) -> str:
        texts = self._texts
        if project.adapters is None:
            return f"<p>{escape(texts.adapters_unknown)}</p>"
        if not project.adapters:
            return f"<p>{escape(texts.no_adapters)}</p>"
        newest = project.adapters[:_MOST_ADAPTERS]
        rows = [self._adapter(adapter, project.by_adapter) for adapter in newest]
        head = (*texts.adapter_columns, texts.useful_column)
        return table(head, rows, f"{texts.adapters} {project.path}") + self._charts(newest)

    def _adapter(self, adapter: RegisteredAdapter, opinions: Mapping[str, Opinions]) -> Sequence[str]:
        said, state = opinions.get(adapter.version), TEXTS[self._language].adapter_state[adapter.state]
        scores = ", ".join(f"{name} {value:.3g}" for name, value in sorted(adapter.scores.items()))
        return (
            f"<code>{escape(adapter.version)}</code>",
            f'<span class="state {adapter.state}">{escape(state)}</span>',
            _time(adapter.created.timestamp()),
            escape(scores or self._texts.none),
            escape(f"{round(100 * said.good_share)} % ({said.total})" if said else self._texts.none),
        )

    def _charts(self, newest: Sequence[RegisteredAdapter]) -> str:
        """Return a curve for each score that more than one version has, the oldest at the left."""
        texts, drawn = self._texts, []
        by_age = sorted(newest, key=lambda adapter: adapter.created)
        for name in sorted({name for adapter in newest for name in adapter.scores}):
            points = [(each.version, each.scores[name]) for each in by_age if name in each.scores]
            if len(points) > 1:
                first, last = (f"{value:.3g}" for _, value in (points[0], points[-1]))
                said = texts.chart.format(score=name, first=first, last=last, versions=len(points))
                drawn.append(f"<figure>{line(points, said)}<figcaption>{escape(said)}</figcaption></figure>")
        if not drawn:
            return ""
        return f'<h4>{escape(texts.scores_by_version)}</h4><div class="charts">{"".join(drawn)}</div>'

    def _section(self, name: str, title: str, body: str) -> str:
        return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>{body}</section>'

    def _duration(self, seconds: float | None) -> str:
        if seconds is None:
            return self._texts.none
        if seconds < 90:
            return self._texts.seconds.format(seconds=round(seconds))
        return self._texts.minutes.format(minutes=round(seconds / 60))


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M} UTC</time>'
