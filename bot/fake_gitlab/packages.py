"""The fake's generic packages: literal versions, and a file uploaded twice is there twice."""

from __future__ import annotations

import hashlib
import re

from aiohttp import web

from bot.fake_gitlab import render
from bot.fake_gitlab.options import OPTIONS
from bot.fake_gitlab.requests import (
    TOKEN_HEADERS,
    WORLD,
    Failure,
    created,
    not_found,
    page,
    project_of,
    query,
    require,
)
from bot.fake_gitlab.state import Package, PackageFile, StoredProject, World
from bot.gitlab import Access

_FILE = "/projects/{id}/packages/generic/{name}/{version}/{file}"
# https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/regex/packages.rb
_NAME, _VERSION = re.compile(r"[A-Za-z0-9._+-]+"), re.compile(r"(?!.*\.\.)[A-Za-z0-9_+.-]+")
_ORDERS = ("created_at", "name", "version", "type")


def routes() -> list[web.RouteDef]:
    """Return the operations of this module."""
    return [
        web.put(_FILE, upload),
        web.get(_FILE, download),
        web.get("/projects/{id}/packages", list_packages),
        web.get("/projects/{id}/packages/{package:\\d+}/package_files", list_files),
    ]


def storage_routes() -> list[web.RouteDef]:
    """Return the operations of the object storage, which is no part of the API."""
    return [web.get("/storage/{file:\\d+}", stored)]


def _check_names(request: web.Request) -> None:
    for name, form, value in (
        ("package_name", _NAME, "name"),
        ("package_version", _VERSION, "version"),
        ("file_name", _NAME, "file"),
    ):
        if not form.fullmatch(request.match_info[value]):
            raise Failure(400, {"error": f"{name} is invalid"})


def _find(request: web.Request, project: StoredProject) -> Package | None:
    wanted = (request.match_info["name"], request.match_info["version"])
    return next((each for each in project.packages if (each.name, each.version) == wanted), None)


async def upload(request: web.Request) -> web.Response:
    query(request, "select", "status")
    project, world, options = project_of(request), request.app[WORLD], request.app[OPTIONS]
    require(request, project, Access.DEVELOPER)
    _check_names(request)
    name, data = request.match_info["file"], await request.read()
    if len(data) > options.largest_package_file:
        raise Failure(400, {"message": "400 Bad request - File is too large"})
    package = _find(request, project)
    if package is None:
        package_name, version = request.match_info["name"], request.match_info["version"]
        package = Package(next(world.ids), package_name, version, world.now())
        project.packages.append(package)
    if not options.duplicate_packages and any(file.name == name for file in package.files):
        raise Failure(400, {"message": "400 Bad request - Duplicate package is not allowed"})
    package.files.append(PackageFile(next(world.ids), name, data, world.now()))
    return created({"message": "201 Created"})


async def download(request: web.Request) -> web.Response:
    project = project_of(request)
    require(request, project, Access.REPORTER)
    _check_names(request)
    package = _find(request, project)
    files = package.files if package else []
    file = next((each for each in reversed(files) if each.name == request.match_info["file"]), None)
    if file is None:
        raise not_found()
    if storage := request.app[OPTIONS].object_storage:
        return web.Response(status=302, headers={"Location": f"{storage}/storage/{file.id}"})
    digest = hashlib.sha256(file.data).hexdigest()
    return web.Response(
        body=file.data,
        content_type="application/octet-stream",
        headers={"X-Checksum-SHA256": digest},
    )


async def stored(request: web.Request) -> web.Response:
    if any(name in request.headers for name in TOKEN_HEADERS):
        raise web.HTTPBadRequest(text="a token of GitLab has no business here")
    file = _stored(request.app[WORLD], int(request.match_info["file"]))
    return web.Response(body=file.data, content_type="application/octet-stream")


def _stored(world: World, number: int) -> PackageFile:
    for project in world.projects.values():
        for package in project.packages:
            for file in package.files:
                if file.id == number:
                    return file
    raise web.HTTPNotFound


async def list_packages(request: web.Request) -> web.Response:
    query(request, "package_type", "package_name", "package_version", "order_by", "sort")
    project = project_of(request)
    require(request, project, Access.REPORTER)
    order = request.query.get("order_by", "created_at")
    if order not in _ORDERS:
        raise Failure(400, {"error": "order_by does not have a valid value"})
    name, version = request.query.get("package_name", ""), request.query.get("package_version")
    kind = request.query.get("package_type", "generic")
    found = [
        each
        for each in project.packages
        # The name is searched for, not compared. https://docs.gitlab.com/api/packages/#for-a-project
        if kind == "generic" and name.lower() in each.name.lower() and version in (None, each.version)
    ]
    keys = {"created_at": lambda each: each.created_at, "version": lambda each: each.version}
    found.sort(key=keys.get(order, lambda each: each.name), reverse=request.query.get("sort") == "desc")
    return page(request, [render.package(each) for each in found])


async def list_files(request: web.Request) -> web.Response:
    query(request)
    project = project_of(request)
    require(request, project, Access.REPORTER)
    wanted = int(request.match_info["package"])
    package = next((each for each in project.packages if each.id == wanted), None)
    if package is None:
        raise not_found()
    rows = [
        {
            "id": file.id,
            "package_id": package.id,
            "file_name": file.name,
            "size": len(file.data),
            "file_sha256": hashlib.sha256(file.data).hexdigest(),
            "created_at": render.when(file.created_at),
        }
        for file in package.files
    ]
    return page(request, rows)
