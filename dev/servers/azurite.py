"""Azurite: Azure Storage's API over a directory, from the makers of Azure."""

from dev.servers.packages import NodePackage

PACKAGE = NodePackage("azurite", "3.37.0")
