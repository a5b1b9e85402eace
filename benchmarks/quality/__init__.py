"""What the policies save, measured."""
