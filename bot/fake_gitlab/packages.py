"""The fake's generic packages: literal versions, and a file uploaded twice is there twice."""

from __future__ import annotations

import hashlib

from aiohttp import web

from bot.fake_gitlab import render
from bot.fake_gitlab.requests import WORLD, created, not_found, page, project_of, query, require
from bot.fake_gitlab.state import Package, PackageFile, StoredProject
from bot.gitlab import Access

_FILE = (
    "/projects/{id}/packages/generic/{name:[A-Za-z0-9._~+@-]+}/{version:[A-Za-z0-9_+.-]+}"
    "/{file:[A-Za-z0-9._~+@-]+}"
)


def routes() -> list[web.RouteDef]:
    """Return the operations of this module."""
    return [
        web.put(_FILE, upload),
        web.get(_FILE, download),
        web.get("/projects/{id}/packages", list_packages),
        web.get("/projects/{id}/packages/{package:\\d+}/package_files", list_files),
    ]


def _find(request: web.Request, project: StoredProject) -> Package | None:
    wanted = (request.match_info["name"], request.match_info["version"])
    return next((each for each in project.packages if (each.name, each.version) == wanted), None)


async def upload(request: web.Request) -> web.Response:
    query(request, "select", "status")
    project, world = project_of(request), request.app[WORLD]
    require(request, project, Access.DEVELOPER)
    package = _find(request, project)
    if package is None:
        name, version = request.match_info["name"], request.match_info["version"]
        package = Package(next(world.ids), name, version, world.now())
        project.packages.append(package)
    file = PackageFile(next(world.ids), request.match_info["file"], await request.read(), world.now())
    package.files.append(file)
    return created({"message": "201 Created"})


async def download(request: web.Request) -> web.Response:
    package = _find(request, project_of(request))
    files = package.files if package else []
    file = next((each for each in reversed(files) if each.name == request.match_info["file"]), None)
    if file is None:
        raise not_found()
    digest = hashlib.sha256(file.data).hexdigest()
    return web.Response(
        body=file.data,
        content_type="application/octet-stream",
        headers={"X-Checksum-SHA256": digest},
    )


async def list_packages(request: web.Request) -> web.Response:
    query(request, "package_type", "package_name", "package_version", "order_by", "sort")
    name, version = request.query.get("package_name"), request.query.get("package_version")
    found = [
        each
        for each in project_of(request).packages
        if name in (None, each.name) and version in (None, each.version)
    ]
    found.sort(key=lambda each: each.created_at, reverse=request.query.get("sort", "desc") == "desc")
    return page(request, [render.package(each) for each in found])


async def list_files(request: web.Request) -> web.Response:
    query(request)
    wanted = int(request.match_info["package"])
    package = next((each for each in project_of(request).packages if each.id == wanted), None)
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
