"""Address space: OPC 40100-1 with the instance of this box, and small helpers to read and write nodes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from importlib import resources
from typing import Any

from asyncua import Node, Server, ua
from asyncua.common.instantiate_util import instantiate

__all__ = ["OWN_NAMESPACE", "VISION_NAMESPACE", "AddressSpace", "NodeIds", "make_address_space", "structure"]

VISION_NAMESPACE = "http://opcfoundation.org/UA/MachineVision"
OWN_NAMESPACE = "urn:edgeflow:inspection"
_ID_TYPES = {
    "RecipeIdExternalDataType": (3002, 5002),
    "ConfigurationIdDataType": (3008, 5090),
    "RecipeIdInternalDataType": (3013, 5268),
}  # data type, its binary encoding
_NODESET = "Opc.Ua.MachineVision.NodeSet2.xml"


class NodeIds:
    """Numbers of nodes in the nodeset of OPC 40100-1."""

    VISION_SYSTEM = 1003
    RECIPE_MANAGEMENT = 1004
    RESULT_MANAGEMENT = 1007
    AUTOMATIC_MODE = 1021
    RESULT_READY = 1024
    STATE_CHANGED = 1018


def structure(name: str) -> Any:
    """Return a class of OPC 40100-1's data types, which asyncua makes from the nodeset."""
    return getattr(ua, name)


@dataclass(frozen=True, kw_only=True)
class AddressSpace:
    """The server's nodes.

    Attributes:
        vision, own: indices of the two namespaces.
        system: the vision system of this box.
    """

    server: Server
    vision: int
    own: int
    system: Node

    def node(self, *path: str) -> Node:
        """Return a node below the vision system, by its path."""
        return self.server.get_node(ua.NodeId(".".join(("VisionSystem", *path)), self.own))

    def type_id(self, number: int) -> ua.NodeId:
        """Return the node id of a node of OPC 40100-1."""
        return ua.NodeId(number, self.vision)

    async def write(
        self, node: Node, value: Any, kind: ua.VariantType | None = None, at: dt.datetime | None = None
    ) -> None:
        """Write a value as the server does, with its source's time."""
        variant = value if isinstance(value, ua.Variant) else ua.Variant(value, kind)
        stamp = at or dt.datetime.now(dt.UTC)
        await self.server.iserver.write_attribute_value(
            node.nodeid, ua.DataValue(variant, SourceTimestamp=stamp, ServerTimestamp=stamp)
        )

    async def write_bad(self, node: Node, code: int) -> None:
        """Write that a node has no value now."""
        stamp = dt.datetime.now(dt.UTC)
        bad = ua.DataValue(
            ua.Variant(None), ua.StatusCode(code), SourceTimestamp=stamp, ServerTimestamp=stamp
        )
        await self.server.iserver.write_attribute_value(node.nodeid, bad)


async def make_address_space(server: Server) -> AddressSpace:
    """Import the nodeset and make the vision system with what this box has of it."""
    text = resources.files("edgeflow.opcua").joinpath("nodeset", _NODESET).read_text("utf-8")
    await server.import_xml(xmlstring=text)
    await server.load_data_type_definitions()
    vision = await server.get_namespace_index(VISION_NAMESPACE)
    _register_id_types(vision)
    own = await server.register_namespace(OWN_NAMESPACE)

    async def made(parent: Node, number: int, name: str, index: int, *path: str) -> Node:
        kind = server.get_node(ua.NodeId(number, vision))
        nodes = await instantiate(
            parent,
            kind,
            nodeid=ua.NodeId(".".join(("VisionSystem", *path)), own),
            bname=ua.QualifiedName(name, index),
            instantiate_optional=False,
        )
        return nodes[0]

    system = await made(server.nodes.objects, NodeIds.VISION_SYSTEM, "VisionSystem", own)
    machine = server.get_node(ua.NodeId("VisionSystem.VisionStateMachine", own))
    await made(machine, NodeIds.AUTOMATIC_MODE, "AutomaticModeStateMachine", vision,
               "VisionStateMachine", "AutomaticModeStateMachine")  # fmt: skip
    await made(system, NodeIds.RECIPE_MANAGEMENT, "RecipeManagement", vision, "RecipeManagement")
    await made(system, NodeIds.RESULT_MANAGEMENT, "ResultManagement", vision, "ResultManagement")
    return AddressSpace(server=server, vision=vision, own=own, system=system)


def _register_id_types(vision: int) -> None:
    """Make classes of the types that add nothing to their base, whose encoding asyncua would not know."""
    base = structure("BinaryIdBaseDataType")
    for name, (number, encoding) in _ID_TYPES.items():
        kind = ua.NodeId(number, vision)
        delattr(ua, name)  # asyncua's alias of the base
        made = type(name, (base,), {"data_type": kind})
        ua.register_extension_object(name, ua.NodeId(encoding, vision), made, kind)
