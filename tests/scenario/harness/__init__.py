"""What the scenarios are told with: a node, origins that do as they are told, clients that see every byte."""
