"""Stored values -> the JSON that GitLab answers with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.fake_gitlab.state import (
    Account,
    Draft,
    Package,
    StoredHook,
    StoredMergeRequest,
    StoredNote,
    StoredProject,
    StoredVersion,
    Thread,
    ToDo,
)
from bot.gitlab import DiffRefs, FileChange

Json = dict[str, Any]


def when(moment: datetime) -> str:
    """Return a time as the API writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def account(person: Account) -> Json:
    """Return a user."""
    return {
        "id": person.id,
        "username": person.username,
        "name": person.name,
        "state": "active",
        "bot": person.bot,
    }


def project(project: StoredProject, base_url: str) -> Json:
    """Return a project."""
    return {
        "id": project.id,
        "path_with_namespace": project.path,
        "web_url": f"{base_url}/{project.path}",
        "default_branch": project.default_branch if project.branches else None,
        "archived": False,
    }


def merge_request(project: StoredProject, mr: StoredMergeRequest, web_url: str, with_refs: bool) -> Json:
    """Return a merge request; without refs as one looks whose diff is not prepared yet."""
    head = mr.version.refs.head_sha
    return {
        "id": project.id * 1000 + mr.iid,
        "iid": mr.iid,
        "project_id": project.id,
        "title": mr.title,
        "description": mr.description,
        "state": mr.state,
        "draft": mr.draft,
        "author": account(mr.author),
        "reviewers": [account(person) for person in mr.reviewers],
        "labels": [],
        "source_branch": mr.source_branch,
        "target_branch": mr.target_branch,
        "source_project_id": mr.source_project_id,
        "target_project_id": project.id,
        "web_url": web_url,
        "sha": head,
        "diff_refs": refs(mr.version.refs) if with_refs else None,
        "prepared_at": when(mr.version.created_at) if with_refs else None,
        "head_pipeline": None,
        "updated_at": when(mr.updated_at),
    }


def refs(refs: DiffRefs) -> Json:
    """Return diff refs."""
    return {"base_sha": refs.base_sha, "start_sha": refs.start_sha, "head_sha": refs.head_sha}


def version(version: StoredVersion, mr: StoredMergeRequest) -> Json:
    """Return a version without its diffs."""
    return {
        "id": version.id,
        "head_commit_sha": version.refs.head_sha,
        "base_commit_sha": version.refs.base_sha,
        "start_commit_sha": version.refs.start_sha,
        "created_at": when(version.created_at),
        "merge_request_id": mr.iid,
        "state": "collected",
        "real_size": str(len(version.changes)),
    }


def change(change: FileChange, *, newest_fields: bool = True) -> Json:
    """Return a file's diff; without the newest fields as a server before 18.4 does."""
    fields: Json = {
        "old_path": change.old_path,
        "new_path": change.new_path,
        "a_mode": change.old_mode,
        "b_mode": change.new_mode,
        "new_file": change.new_file,
        "renamed_file": change.renamed_file,
        "deleted_file": change.deleted_file,
        "generated_file": change.generated_file,
        "diff": change.diff,
    }
    if newest_fields:
        fields |= {"collapsed": change.collapsed, "too_large": change.too_large}
    return fields


def note(note: StoredNote, project_id: int, mr: StoredMergeRequest) -> Json:
    """Return a note."""
    fields: Json = {
        "id": note.id,
        "type": note.type,
        "body": note.body,
        "author": account(note.author),
        "created_at": when(note.created_at),
        "updated_at": when(note.updated_at),
        "system": note.system,
        "noteable_id": project_id * 1000 + mr.iid,
        "noteable_type": "MergeRequest",
        "noteable_iid": mr.iid,
        "project_id": project_id,
        "commit_id": None,
        "resolvable": note.resolvable,
        "internal": note.internal,
        "confidential": note.internal,
    }
    if note.resolvable:
        resolver = note.resolved_by
        fields |= {"resolved": resolver is not None, "resolved_by": account(resolver) if resolver else None}
    if note.position is not None:
        fields["position"] = note.position
    return fields


def thread(thread: Thread, project_id: int, mr: StoredMergeRequest) -> Json:
    """Return a discussion."""
    return {
        "id": thread.id,
        "individual_note": thread.individual,
        "notes": [note(each, project_id, mr) for each in thread.notes],
    }


def draft(draft: Draft) -> Json:
    """Return an unpublished note."""
    return {
        "id": draft.id,
        "author_id": draft.author.id,
        "note": draft.body,
        "discussion_id": draft.discussion_id,
        "resolve_discussion": draft.resolve,
        "position": draft.position,
    }


def award(award: tuple[int, str, Account], note_id: int) -> Json:
    """Return an emoji on a note."""
    number, name, person = award
    return {
        "id": number,
        "name": name,
        "user": account(person),
        "awardable_id": note_id,
        "awardable_type": "Note",
    }


def hook(hook: StoredHook, project_id: int) -> Json:
    """Return a webhook; its secret stays with the server."""
    return {
        "id": hook.id,
        "url": hook.url,
        "project_id": project_id,
        "alert_status": "executable",
        **hook.events,
    }


def todo(todo: ToDo, project: StoredProject, mr_url: str, mr: StoredMergeRequest) -> Json:
    """Return an entry of somebody's to-do list."""
    anchor = f"#note_{todo.note_id}" if todo.note_id else ""
    return {
        "id": todo.id,
        "project": {"id": project.id, "path_with_namespace": project.path},
        "author": account(todo.author),
        "action_name": todo.action,
        "target_type": "MergeRequest",
        "target": {"iid": mr.iid, "project_id": project.id, "title": mr.title},
        "target_url": f"{mr_url}{anchor}",
        "body": todo.body,
        "state": "pending",
        "created_at": when(todo.created_at),
    }


def package(package: Package) -> Json:
    """Return a package."""
    return {
        "id": package.id,
        "name": package.name,
        "version": package.version,
        "package_type": "generic",
        "status": "default",
        "created_at": when(package.created_at),
    }


def event_project(project: StoredProject, base_url: str) -> Mapping[str, object]:
    """Return a project as webhooks name it."""
    return {
        "id": project.id,
        "name": project.path.rpartition("/")[2],
        "path_with_namespace": project.path,
        "web_url": f"{base_url}/{project.path}",
        "git_http_url": f"{base_url}/{project.path}.git",
        "default_branch": project.default_branch,
    }
