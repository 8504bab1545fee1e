"""Define the public functions of fxviz, which are named after the commands.

Most modules are imported where they are used, so that a saved graph is drawn without importing torch.
"""
