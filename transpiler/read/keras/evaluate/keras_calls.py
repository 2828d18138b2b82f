"""What Keras's own names do when the program calls them: layers, models, shapes, backend functions."""

from __future__ import annotations

from typing import Any

from transpiler.diagnostics import Findings
from transpiler.read.keras.evaluate.added_losses import AddedLosses
from transpiler.read.keras.evaluate.array_calls import ArrayCalls
from transpiler.read.keras.evaluate.array_items import ArrayItems
from transpiler.read.keras.evaluate.cell_loops import CellLoops
from transpiler.read.keras.evaluate.custom_layers import CustomLayers
from transpiler.read.keras.evaluate.custom_weights import CustomWeights
from transpiler.read.keras.evaluate.data_arrays import DataArrays
from transpiler.read.keras.evaluate.distributed import Distributed
from transpiler.read.keras.evaluate.drawing import Drawing
from transpiler.read.keras.evaluate.emit import Emitter
from transpiler.read.keras.evaluate.higher_order import HigherOrder
from transpiler.read.keras.evaluate.interpreter import Interpreter
from transpiler.read.keras.evaluate.keras_clones import ModelClones
from transpiler.read.keras.evaluate.keras_functions import KerasFunctions
from transpiler.read.keras.evaluate.keras_layers import KerasLayers
from transpiler.read.keras.evaluate.keras_models import KerasModels
from transpiler.read.keras.evaluate.keras_ops import KerasOps
from transpiler.read.keras.evaluate.keras_tensors import KerasTensors
from transpiler.read.keras.evaluate.layer_subclasses import LayerSubclasses
from transpiler.read.keras.evaluate.logits import Logits
from transpiler.read.keras.evaluate.loss_objects import LossObjects
from transpiler.read.keras.evaluate.masks import Masks
from transpiler.read.keras.evaluate.open_decisions import OpenDecisions
from transpiler.read.keras.evaluate.program_initializers import ProgramInitializers
from transpiler.read.keras.evaluate.run_time import RunTimeNumbers
from transpiler.read.keras.evaluate.values import (
    Model,
)
from transpiler.read.keras.names import Loader
from transpiler.rules.ops import op_rules


class KerasInterpreter(
    OpenDecisions,
    RunTimeNumbers,
    DataArrays,
    ArrayCalls,
    ArrayItems,
    ProgramInitializers,
    LayerSubclasses,
    CustomWeights,
    CustomLayers,
    CellLoops,
    Distributed,
    LossObjects,
    KerasLayers,
    KerasModels,
    ModelClones,
    KerasTensors,
    Drawing,
    AddedLosses,
    Logits,
    HigherOrder,
    KerasOps,
    KerasFunctions,
    Masks,
    Interpreter,
    Emitter,
):
    """The interpreter with Keras: every layer call is written into the block under construction."""

    def __init__(self, loader: Loader, generation: str, findings: Findings) -> None:
        Interpreter.__init__(self, loader, generation, findings)
        Emitter.__init__(self)
        self.adding = []
        self.layers: list[Any] = []
        """Every layer object and model, in construction order."""
        self.models: list[Model] = []
        self.input_names: dict[Any, str] = {}
        """Inputs that the program names → their names."""
        self.initializing = False
        """Whether an initializer of the program is being evaluated."""
        self.owners: list[Any] = []
        """The custom layers that are being constructed or built, the innermost last."""
        self.fixed_mode: bool | None = None
        """Of a model whose call says `training=`, while its layers are called: what it says."""
        self.called: list[list[Any]] = []
        """The layers that each of the custom layers being called has called."""
        self.called_on: list[list[Any]] = []
        """The tensors that each of them is called on."""
        self.open_inputs = False
        """Whether the inputs of models stand for tensors of which nobody knows where they come from."""
        self.fixed_variables = False
        """Whether nothing sets the variables that are made now: they are constants."""
        self.image_data_format = "channels_last"
        self.sets_data_format = False
        """Whether the program ever says which order of axes images have."""
        self.ops = op_rules()
        self.sizes = {}
        self.unnoted, self.graph_inputs = set(), set()
        self.array_changes = {}
        self.open_choices: set[Any] = set()
        self.made_up, self.arrays_read, self.arrays_given = {}, {}, {}
